//! `sink` of an `[[aggregate]]`: Parquet, and beside it topics of Kafka's and the console. Which modes a sink takes is
//! decided here.

use std::path::PathBuf;

use speed_layer_core::commit::HoldLimits;

use super::ConfigError;
use super::file::FileSink;
use super::job::{AggregateSpec, Compression, SideSinks};
use super::nearest::nearest;
use super::values;

/// As many rows as Spark's console shows.
const CONSOLE_ROWS: u64 = 20;
const CONSOLE_ROWS_MAX: u64 = 10_000;

/// Which windows a sink is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// A window once, when it is closed.
    Append,
    /// With each commit the windows that it changed; a closed one for the last time.
    Update,
    /// With each commit all windows that are open, and those that it closed for the last time.
    Complete,
}

impl OutputMode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Update => "update",
            Self::Complete => "complete",
        }
    }

    /// By the name in a sink, in the aggregate, or the default.
    fn of(place: &str, own: Option<&str>, aggregates: Option<&str>) -> Result<Self, ConfigError> {
        match own.or(aggregates).unwrap_or("append") {
            "append" => Ok(Self::Append),
            "update" => Ok(Self::Update),
            "complete" => Ok(Self::Complete),
            other => Err(ConfigError::invalid(place, unknown_mode(other))),
        }
    }
}

/// How a window is written as a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordForm {
    /// An object with a field a column.
    Json,
    /// The same under an Arrow schema.
    TypedJson,
}

/// A topic that an aggregate's windows are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSink {
    pub topic: String,
    pub form: RecordForm,
    pub mode: OutputMode,
}

/// An aggregate's windows on the console, with each commit that has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowConsole {
    pub mode: OutputMode,
    /// Names, in the order in which they are shown; none: all.
    pub columns: Vec<String>,
    /// At most so many of a commit, at least one.
    pub rows: usize,
}

/// Where an aggregate's windows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateSinks {
    pub output: PathBuf,
    pub compression: Compression,
    pub hold: Option<HoldLimits>,
    pub topics: Vec<TopicSink>,
    pub console: Option<WindowConsole>,
}

impl AggregateSinks {
    /// What the sinks of a file come to; `mode` is the aggregate's own.
    ///
    /// # Errors
    /// One that cannot be, none of type parquet, or a second one of it or of the console.
    pub fn of(place: &str, sinks: Vec<FileSink>, mode: Option<&str>) -> Result<Self, ConfigError> {
        for kind in ["parquet", "console"] {
            if sinks.iter().filter(|sink| sink.kind == kind).count() > 1 {
                let problem = format!("has two sinks of type \"{kind}\"; give it one");
                return Err(ConfigError::invalid(place, problem));
            }
        }
        let (mut files, mut topics, mut console) = (None, Vec::new(), None);
        for sink in sinks {
            match sink.kind.as_str() {
                "parquet" => files = Some(sink.into_files(place, mode)?),
                "kafka" => topics.push(sink.into_topic(place, mode)?),
                "console" => console = Some(sink.into_console(place, mode)?),
                other => return Err(ConfigError::invalid(place, unknown_type(other))),
            }
        }
        let (output, compression, hold) = files.ok_or_else(|| {
            ConfigError::invalid(
                place,
                "give it one `sink` of type \"parquet\", with topics and a console beside it or none",
            )
        })?;
        Ok(Self { output, compression, hold, topics, console })
    }
}

/// Of a sink of type parquet: path, compression, and how long windows are held.
type Files = (PathBuf, Compression, Option<HoldLimits>);

fn hold_of(place: &str, age: Option<&str>, rows: Option<u64>) -> Result<Option<HoldLimits>, ConfigError> {
    match (age, rows) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ConfigError::invalid(
            place,
            "gives `hold_rows` without `hold`: few windows would be held for ever; say for how long at most",
        )),
        (_, Some(0)) => {
            Err(ConfigError::invalid(place, "gives `hold_rows` as 0; leave `hold` out to hold nothing"))
        }
        (Some(age), rows) => Ok(Some(HoldLimits { age_ms: values::duration("hold", age)?, rows })),
    }
}

fn unknown_type(kind: &str) -> String {
    let meant = nearest(kind, ["parquet", "kafka", "console"])
        .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    format!("unknown sink type `{kind}`; {meant}This version has `parquet`, `kafka` and `console`")
}

impl FileSink {
    /// Of type parquet.
    pub fn files(path: PathBuf) -> Self {
        Self { kind: "parquet".to_owned(), path: Some(path), ..Self::default() }
    }

    fn into_files(self, place: &str, mode: Option<&str>) -> Result<Files, ConfigError> {
        self.refuse_keys_of_others(place, &["path", "compression", "hold", "hold_rows", "mode"])?;
        let mode = OutputMode::of(place, self.mode.as_deref(), mode)?;
        if mode != OutputMode::Append {
            let problem = format!(
                "output mode `{}` cannot go to Parquet, whose files never change: they take `append`, a topic and the \
                 console take `update` and `complete` too (the `mode` of such a sink)",
                mode.name()
            );
            return Err(ConfigError::invalid(place, problem));
        }
        let hold = hold_of(place, self.hold.as_deref(), self.hold_rows)?;
        let path = self
            .path
            .ok_or_else(|| ConfigError::invalid(place, "give its sink of type \"parquet\" the `path`"))?;
        Ok((path, values::compression(place, self.compression.as_deref().unwrap_or("snappy"))?, hold))
    }

    fn into_topic(self, place: &str, mode: Option<&str>) -> Result<TopicSink, ConfigError> {
        let invalid = |problem: String| Err(ConfigError::invalid(place, problem));
        self.refuse_keys_of_others(place, &["topic", "format", "mode"])?;
        let Some(topic) = self.topic.filter(|topic| !topic.is_empty()) else {
            return invalid("give its sink of type \"kafka\" the `topic`".to_owned());
        };
        let form = match self.format.as_deref().unwrap_or("json") {
            "json" => RecordForm::Json,
            "typed-json" => RecordForm::TypedJson,
            other => {
                return invalid(format!("unknown format `{other}`; a topic takes `json` and `typed-json`"));
            }
        };
        let mode = OutputMode::of(place, self.mode.as_deref(), mode)?;
        Ok(TopicSink { topic, form, mode })
    }

    fn into_console(self, place: &str, mode: Option<&str>) -> Result<WindowConsole, ConfigError> {
        self.refuse_keys_of_others(place, &["columns", "rows", "mode"])?;
        let mode = OutputMode::of(place, self.mode.as_deref(), mode)?;
        let columns = self.columns.unwrap_or_default();
        let rows = self.rows.unwrap_or(CONSOLE_ROWS);
        if !(1..=CONSOLE_ROWS_MAX).contains(&rows) {
            let problem =
                format!("`rows` of its console is {rows}; it has to be from 1 to {CONSOLE_ROWS_MAX}");
            return Err(ConfigError::invalid(place, problem));
        }
        Ok(WindowConsole { mode, columns, rows: rows as usize })
    }

    /// `own`: the keys that a sink of this type has.
    fn refuse_keys_of_others(&self, place: &str, own: &[&str]) -> Result<(), ConfigError> {
        let given = [
            ("path", self.path.is_some()),
            ("compression", self.compression.is_some()),
            ("hold", self.hold.is_some()),
            ("hold_rows", self.hold_rows.is_some()),
            ("topic", self.topic.is_some()),
            ("format", self.format.is_some()),
            ("columns", self.columns.is_some()),
            ("rows", self.rows.is_some()),
        ];
        let Some((key, _)) = given.into_iter().find(|(key, is_given)| *is_given && !own.contains(key)) else {
            return Ok(());
        };
        let problem = format!("a sink of type \"{}\" has no `{key}`; it has: {}", self.kind, own.join(", "));
        Err(ConfigError::invalid(place, problem))
    }
}

fn unknown_mode(mode: &str) -> String {
    format!("unknown output mode `{mode}`; there are `append`, `update` and `complete`")
}

/// Refuses topics that cannot serve: the one that is read, the letters', the markers', and those named twice.
///
/// # Errors
/// Names the aggregate and the topic.
pub fn check_topics(
    job: &str,
    source: &str,
    sides: &SideSinks,
    aggregates: &[AggregateSpec],
) -> Result<(), ConfigError> {
    let markers = format!("{job}.commits");
    let mut taken = vec![
        (source.to_owned(), "the job reads it, and would read its own results"),
        (markers, "the job notes in it what is sent"),
    ];
    let letters = [&sides.dead_letters, &sides.late].into_iter().flatten();
    taken.extend(letters.map(|topic| (topic.clone(), "letters go there")));
    for aggregate in aggregates {
        for sink in &aggregate.topics {
            if let Some((topic, why)) = taken.iter().find(|(topic, _)| *topic == sink.topic) {
                let problem =
                    format!("its windows cannot go to the topic {topic}: {why}; give another topic");
                return Err(ConfigError::invalid(format!("aggregate {}", aggregate.name), problem));
            }
            taken.push((sink.topic.clone(), "windows go there already"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        sink: Vec<FileSink>,
    }

    fn sinks(text: &str, mode: Option<&str>) -> Result<AggregateSinks, ConfigError> {
        let file: File = toml::from_str(&format!("sink = [{text}]")).unwrap();
        AggregateSinks::of("aggregate daily", file.sink, mode)
    }

    const FILES: &str = "{ type = \"parquet\", path = \"out\" }";

    fn check(topic: &str, expected: Result<(RecordForm, OutputMode), &str>) {
        match (sinks(&format!("{FILES}, {topic}"), None), expected) {
            (Ok(found), Ok((form, mode))) => {
                assert_eq!(found.topics, [TopicSink { topic: "stats".to_owned(), form, mode }]);
            }
            (Err(error), Err(part)) => {
                let text = error.to_string();
                assert!(text.contains(part) && text.contains("daily"), "{text}");
            }
            (found, wanted) => panic!("{found:?} in place of {wanted:?}: {topic}"),
        }
    }

    #[test]
    fn a_topic_takes_two_forms_and_three_modes() {
        use OutputMode::{Append, Complete, Update};
        let sink = |more: &str| format!("{{ type = \"kafka\", topic = \"stats\"{more} }}");
        check(&sink(""), Ok((RecordForm::Json, Append)));
        check(&sink(", format = \"typed-json\", mode = \"update\""), Ok((RecordForm::TypedJson, Update)));
        check(&sink(", format = \"json\", mode = \"append\""), Ok((RecordForm::Json, Append)));
        check(&sink(", mode = \"complete\""), Ok((RecordForm::Json, Complete)));
        check(&sink(", mode = \"upsert\""), Err("unknown output mode `upsert`"));
        check(&sink(", format = \"avro\""), Err("unknown format `avro`"));
        check(&sink(", path = \"x\""), Err("has no `path`"));
        check("{ type = \"kafka\" }", Err("`topic`"));
        check("{ type = \"kafak\", topic = \"stats\" }", Err("did you mean `kafka`"));
        check(&sink(", rows = 3"), Err("type \"kafka\" has no `rows`"));
        check("{ type = \"consol\" }", Err("did you mean `console`"));
        check(FILES, Err("two sinks of type \"parquet\""));
        check("{ type = \"parquet\", topic = \"stats\" }", Err("two sinks"));
    }

    #[test]
    fn a_console_takes_all_modes_and_shows_all_columns_unless_some_are_named() {
        let of = |text: &str| sinks(&format!("{FILES}, {text}"), None).map(|found| found.console);
        let expected = |mode, columns: &[&str], rows| {
            let columns = columns.iter().map(|name| (*name).to_owned()).collect();
            Some(WindowConsole { mode, columns, rows })
        };
        assert_eq!(of("{ type = \"console\" }").unwrap(), expected(OutputMode::Append, &[], 20));
        let given = "{ type = \"console\", mode = \"complete\", columns = [\"a\"], rows = 3 }";
        assert_eq!(of(given).unwrap(), expected(OutputMode::Complete, &["a"], 3));
        for (text, part) in [
            ("{ type = \"console\", rows = 0 }", "`rows` of its console is 0"),
            ("{ type = \"console\", topic = \"t\" }", "type \"console\" has no `topic`"),
            ("{ type = \"console\" }, { type = \"console\" }", "two sinks of type \"console\""),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn windows_are_held_for_an_age_and_so_many_rows() {
        let hold = |more: &str| {
            sinks(&format!("{{ type = \"parquet\", path = \"out\"{more} }}"), None).map(|sinks| sinks.hold)
        };
        assert_eq!(hold("").unwrap(), None);
        let (age_ms, rows) = (86_400_000, Some(500));
        assert_eq!(hold(", hold = \"1d\"").unwrap(), Some(HoldLimits { age_ms, rows: None }));
        assert_eq!(hold(", hold = \"24h\", hold_rows = 500").unwrap(), Some(HoldLimits { age_ms, rows }));
        for (text, told) in [
            (", hold_rows = 5", "without `hold`"),
            (", hold = \"1d\", hold_rows = 0", "as 0"),
            (", hold = \"soon\"", "hold"),
        ] {
            let error = hold(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        check("{ type = \"kafka\", topic = \"stats\", hold = \"1d\" }", Err("has no `hold`"));
    }

    #[test]
    fn parquet_takes_append_alone_and_says_who_takes_the_others() {
        for (text, mode, part) in [
            (FILES, Some("update"), "a topic and the console take `update` and `complete` too"),
            ("{ type = \"parquet\", path = \"x\", mode = \"complete\" }", None, "cannot go to Parquet"),
            (FILES, Some("upsert"), "unknown output mode"),
            ("{ type = \"parquet\" }", None, "`path`"),
            ("{ type = \"parquet\", path = \"x\", format = \"json\" }", None, "no `format`"),
            ("{ type = \"kafka\", topic = \"t\" }", None, "one `sink` of type \"parquet\""),
            ("", None, "one `sink` of type \"parquet\""),
        ] {
            let error = sinks(text, mode).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(sinks(FILES, Some("append")).unwrap().topics.is_empty());
    }
}
