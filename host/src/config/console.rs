//! `[[sink]]` of a pipeline file and `--console`: the stream's last rows, printed now and then. Which columns there
//! are is not known here.

use super::file::FileStreamSink;
use super::job::JobSpec;
use super::{ConfigError, values};

const PLACE: &str = "[[sink]] console";
const ROWS_MAX: u64 = 10_000;

/// What is printed of the rows that have gone through the transforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleSpec {
    /// Names, in the order in which they are shown; at least one.
    pub columns: Vec<String>,
    /// At most so many rows, at least one.
    pub rows: usize,
    /// More than zero.
    pub every_ms: u64,
}

/// What the sinks of a file come to.
///
/// # Errors
/// One that cannot be, or a second one.
pub fn console_of(sinks: Vec<FileStreamSink>) -> Result<Option<ConsoleSpec>, ConfigError> {
    let mut sinks = sinks.into_iter();
    let first = sinks.next().map(FileStreamSink::finish).transpose()?;
    match sinks.next() {
        Some(_) => Err(ConfigError::invalid(PLACE, "is there twice; one console shows all columns")),
        None => Ok(first),
    }
}

/// What `--console` does to the sinks of a file.
pub fn show_every(sinks: &mut Vec<FileStreamSink>, every: Option<String>) {
    if sinks.is_empty() {
        sinks.push(FileStreamSink { kind: Some("console".to_owned()), ..FileStreamSink::default() });
    }
    if let (Some(sink), Some(every)) = (sinks.first_mut(), every) {
        sink.every = Some(every);
    }
}

impl FileStreamSink {
    fn finish(self) -> Result<ConsoleSpec, ConfigError> {
        let invalid = |problem: String| Err(ConfigError::invalid(PLACE, problem));
        match self.kind.as_deref() {
            Some("console") => {}
            Some(other) => {
                return Err(ConfigError::invalid(
                    "[[sink]]",
                    format!(
                        "unknown type `{other}`; rows go to the `console` alone, windows to the sinks of `[[aggregate]]`"
                    ),
                ));
            }
            None => return Err(ConfigError::invalid("[[sink]]", "give it the type \"console\"")),
        }
        let default = ["symbol", "price", "volume", "price_change_percent", "event_timestamp"];
        let columns = self.columns.unwrap_or_else(|| default.map(str::to_owned).to_vec());
        if columns.is_empty() {
            return invalid("`columns` names none; give at least one".to_owned());
        }
        let rows = self.rows.unwrap_or(10);
        if !(1..=ROWS_MAX).contains(&rows) {
            return invalid(format!("`rows` is {rows}; it has to be from 1 to {ROWS_MAX}"));
        }
        let every_ms = values::duration("[[sink]] console every", self.every.as_deref().unwrap_or("30s"))?;
        if every_ms == 0 {
            return invalid("`every` is 0; give a duration such as 30s".to_owned());
        }
        Ok(ConsoleSpec { columns, rows: rows as usize, every_ms })
    }
}

impl JobSpec {
    /// # Errors
    /// The job has a console, whose tables would come between what `flag` writes to stdout.
    pub fn refuse_console(&self, flag: &str) -> Result<(), ConfigError> {
        if self.console.is_none() && self.aggregates.iter().all(|of| of.console.is_none()) {
            return Ok(());
        }
        let problem = format!("writes tables to stdout, and so does {flag} its lines; leave one of them out");
        Err(ConfigError::invalid("--console, or a sink of type \"console\"", problem))
    }

    /// The same job as rows of the past are made again: shown and sent to nobody.
    pub fn of_the_past(&self) -> Self {
        let mut past = Self { console: None, ..self.clone() };
        for aggregate in &mut past.aggregates {
            aggregate.topics.clear();
            aggregate.console = None;
        }
        past
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        sink: Vec<FileStreamSink>,
    }

    fn check(text: &str, expected: Result<(&[&str], usize, u64), &str>) {
        let file: File = toml::from_str(&format!("sink = [{text}]")).unwrap();
        match (console_of(file.sink), expected) {
            (Ok(Some(found)), Ok((columns, rows, every_ms))) => {
                let columns = columns.iter().map(|name| (*name).to_owned()).collect();
                assert_eq!(found, ConsoleSpec { columns, rows, every_ms }, "{text}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (found, wanted) => panic!("{found:?} in place of {wanted:?}: {text}"),
        }
    }

    #[test]
    fn a_console_shows_the_documented_columns_unless_others_are_named() {
        let default = ["symbol", "price", "volume", "price_change_percent", "event_timestamp"];
        check("{ type = \"console\" }", Ok((&default, 10, 30_000)));
        check("{ type = \"console\", columns = [\"a\"], rows = 3, every = \"1m\" }", Ok((&["a"], 3, 60_000)));
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        check("{ type = \"parquet\" }", Err("unknown type `parquet`"));
        check("{ rows = 3 }", Err("give it the type"));
        check("{ type = \"console\", columns = [] }", Err("names none"));
        check("{ type = \"console\", rows = 0 }", Err("`rows` is 0"));
        check("{ type = \"console\", rows = 10001 }", Err("from 1 to 10000"));
        check("{ type = \"console\", every = \"0s\" }", Err("`every` is 0"));
        check("{ type = \"console\", every = \"soon\" }", Err("console every"));
        check("{ type = \"console\" }, { type = \"console\" }", Err("twice"));
    }

    #[test]
    fn the_flag_alone_is_a_console_and_beside_a_file_it_sets_the_interval() {
        let mut sinks = Vec::new();
        show_every(&mut sinks, None);
        show_every(&mut sinks, Some("5s".to_owned()));
        sinks[0].rows = Some(4);
        show_every(&mut sinks, None);
        let console = console_of(sinks).unwrap().unwrap();
        assert_eq!((console.rows, console.every_ms), (4, 5_000));
    }
}
