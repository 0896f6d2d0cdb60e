//! `sink` of an `[[aggregate]]`: Parquet, and beside it topics of Kafka's. Which modes a sink takes is decided here.

use std::path::PathBuf;

use super::ConfigError;
use super::file::FileSink;
use super::job::{AggregateSpec, Compression, SideSinks};
use super::nearest::nearest;
use super::values;

/// Which windows a sink is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// A window once, when it is closed.
    Append,
    /// With each commit the windows that it changed; a closed one for the last time.
    Update,
}

impl OutputMode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Update => "update",
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

/// Where an aggregate's windows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateSinks {
    pub output: PathBuf,
    pub compression: Compression,
    pub topics: Vec<TopicSink>,
}

impl AggregateSinks {
    /// What the sinks of a file come to; `mode` is the aggregate's own.
    ///
    /// # Errors
    /// One that cannot be, none of type parquet, or a second one.
    pub fn of(place: &str, sinks: Vec<FileSink>, mode: Option<&str>) -> Result<Self, ConfigError> {
        let (mut files, mut topics) = (None, Vec::new());
        for sink in sinks {
            match sink.kind.as_str() {
                "parquet" if files.is_some() => {
                    return Err(ConfigError::invalid(
                        place,
                        "has two sinks of type \"parquet\"; give it one",
                    ));
                }
                "parquet" => files = Some(sink.into_files(place, mode)?),
                "kafka" => topics.push(sink.into_topic(place, mode)?),
                "console" => {
                    let problem = "windows are not printed; a `[[sink]]` of type \"console\" prints the stream's last rows";
                    return Err(ConfigError::invalid(place, problem));
                }
                other => return Err(ConfigError::invalid(place, unknown_type(other))),
            }
        }
        let (output, compression) = files.ok_or_else(|| {
            ConfigError::invalid(
                place,
                "give it one `sink` of type \"parquet\", with topics beside it or none",
            )
        })?;
        Ok(Self { output, compression, topics })
    }
}

fn unknown_type(kind: &str) -> String {
    let meant = nearest(kind, ["parquet", "kafka"])
        .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    format!("unknown sink type `{kind}`; {meant}This version has `parquet` and `kafka`")
}

impl FileSink {
    /// Of type parquet.
    pub fn files(path: PathBuf) -> Self {
        Self { kind: "parquet".to_owned(), path: Some(path), ..Self::default() }
    }

    fn into_files(self, place: &str, mode: Option<&str>) -> Result<(PathBuf, Compression), ConfigError> {
        for (key, value) in [("topic", &self.topic), ("format", &self.format)] {
            if value.is_some() {
                let problem = format!("a sink of type \"parquet\" has no `{key}`; one of type \"kafka\" has");
                return Err(ConfigError::invalid(place, problem));
            }
        }
        match self.mode.as_deref().or(mode).unwrap_or("append") {
            "append" => {}
            other @ ("update" | "complete") => {
                let problem = format!(
                    "output mode `{other}` cannot go to Parquet, whose files never change: they take `append`, a topic \
                     takes `append` and `update` (the `mode` of a sink of type \"kafka\")"
                );
                return Err(ConfigError::invalid(place, problem));
            }
            other => return Err(ConfigError::invalid(place, unknown_mode(other))),
        }
        let path = self
            .path
            .ok_or_else(|| ConfigError::invalid(place, "give its sink of type \"parquet\" the `path`"))?;
        Ok((path, values::compression(place, self.compression.as_deref().unwrap_or("snappy"))?))
    }

    fn into_topic(self, place: &str, mode: Option<&str>) -> Result<TopicSink, ConfigError> {
        let invalid = |problem: String| Err(ConfigError::invalid(place, problem));
        if self.path.is_some() || self.compression.is_some() {
            return invalid(
                "a sink of type \"kafka\" has neither `path` nor `compression`, but a `topic`".to_owned(),
            );
        }
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
        let mode = match self.mode.as_deref().or(mode).unwrap_or("append") {
            "append" => OutputMode::Append,
            "update" => OutputMode::Update,
            "complete" => {
                return invalid(format!(
                    "output mode `complete` would send every window ever to the topic {topic} with each commit, and closed \
                     windows are not kept for that; use `update` over a topic with cleanup.policy=compact, which comes to \
                     hold the last record of each window"
                ));
            }
            other => return invalid(unknown_mode(other)),
        };
        Ok(TopicSink { topic, form, mode })
    }
}

fn unknown_mode(mode: &str) -> String {
    format!("unknown output mode `{mode}`; Parquet takes `append`, a topic `append` and `update`")
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
    fn a_topic_takes_two_forms_and_two_modes() {
        use OutputMode::{Append, Update};
        let sink = |more: &str| format!("{{ type = \"kafka\", topic = \"stats\"{more} }}");
        check(&sink(""), Ok((RecordForm::Json, Append)));
        check(&sink(", format = \"typed-json\", mode = \"update\""), Ok((RecordForm::TypedJson, Update)));
        check(&sink(", format = \"json\", mode = \"append\""), Ok((RecordForm::Json, Append)));
        check(&sink(", mode = \"complete\""), Err("cleanup.policy=compact"));
        check(&sink(", mode = \"upsert\""), Err("unknown output mode `upsert`"));
        check(&sink(", format = \"avro\""), Err("unknown format `avro`"));
        check(&sink(", path = \"x\""), Err("neither `path`"));
        check("{ type = \"kafka\" }", Err("`topic`"));
        check("{ type = \"kafak\", topic = \"stats\" }", Err("did you mean `kafka`"));
        check("{ type = \"console\" }", Err("[[sink]]"));
        check(FILES, Err("two sinks of type \"parquet\""));
        check("{ type = \"parquet\", topic = \"stats\" }", Err("two sinks"));
    }

    #[test]
    fn parquet_takes_append_alone_and_says_who_takes_the_others() {
        for (text, mode, part) in [
            (FILES, Some("update"), "a topic takes `append` and `update`"),
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
