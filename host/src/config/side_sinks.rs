//! `[dead_letters]` and `[late]` of a pipeline file: where that goes which does not get
//! through. Parquet beside the first output unless a topic is named.

use serde::Deserialize;

use super::ConfigError;
use super::job::SideSinks;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSide {
    pub sink: Option<FileSideSink>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSideSink {
    #[serde(rename = "type")]
    pub kind: String,
    pub topic: Option<String>,
}

impl SideSinks {
    /// What the file says, for a job that reads this topic.
    ///
    /// # Errors
    /// Names a sink that cannot be.
    pub fn of(dead_letters: FileSide, late: FileSide, source: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            dead_letters: dead_letters.finish("dead_letters", source)?,
            late: late.finish("late", source)?,
        })
    }
}

impl FileSide {
    fn finish(self, place: &str, source: &str) -> Result<Option<String>, ConfigError> {
        let place = format!("[{place}] sink");
        let invalid = |problem: &str| Err(ConfigError::invalid(&place, problem));
        let Some(FileSideSink { kind, topic }) = self.sink else { return Ok(None) };
        match (kind.as_str(), topic) {
            ("parquet", None) => Ok(None),
            ("parquet", Some(_)) => {
                invalid("files have no `topic`; give the type \"kafka\", or leave it out")
            }
            ("kafka", None) => invalid("give it the `topic`"),
            ("kafka", Some(topic)) if topic == source => invalid(
                "is the topic that the job reads, which would have it read its own letters; give another",
            ),
            ("kafka", Some(topic)) => Ok(Some(topic)),
            (other, _) => invalid(&format!("unknown type `{other}`; this version has `kafka` and `parquet`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sink: &str, expected: Result<Option<&str>, &str>) {
        let side: FileSide = toml::from_str(sink).unwrap();
        match (side.finish("late", "ticks"), expected) {
            (Ok(topic), Ok(wanted)) => assert_eq!(topic.as_deref(), wanted, "{sink}"),
            (Err(error), Err(part)) => {
                let text = error.to_string();
                assert!(text.contains(part) && text.contains("[late]"), "{text}");
            }
            (found, wanted) => panic!("{found:?} in place of {wanted:?}: {sink}"),
        }
    }

    #[test]
    fn letters_go_to_files_unless_another_topic_is_named() {
        check("", Ok(None));
        check("sink = { type = \"parquet\" }", Ok(None));
        check("sink = { type = \"kafka\", topic = \"letters\" }", Ok(Some("letters")));
        check("sink = { type = \"kafka\" }", Err("`topic`"));
        check("sink = { type = \"kafka\", topic = \"ticks\" }", Err("its own letters"));
        check("sink = { type = \"parquet\", topic = \"letters\" }", Err("no `topic`"));
        check("sink = { type = \"redis\", topic = \"letters\" }", Err("redis"));
    }
}
