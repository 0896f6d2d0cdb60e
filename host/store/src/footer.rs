//! What each Parquet file says of itself in its key-value metadata: enough to know,
//! from the file alone, which records and which plugins made it. Keys begin with
//! `speed-layer.`; values are plain numbers, names, or JSON. Keys are added and never
//! change their meaning, so that files of earlier versions stay readable.

use parquet::file::metadata::KeyValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use speed_layer_core::commit::{Epoch, Gap, Generation, HeldSpan, JobName, PluginUse, StageUse};

const PREFIX: &str = "speed-layer.";

/// The metadata of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    pub job: JobName,
    pub epoch: Epoch,
    pub generation: Generation,
    /// The records that the rows were made of.
    pub offsets: Vec<OffsetRange>,
    /// The plugins and configurations that made the rows, oldest first.
    pub plugins: Vec<PluginUse>,
    /// Windows up to here are closed with this commit; `None` where no aggregate is
    /// concerned.
    pub closed_through_ms: Option<i64>,
    /// Rows with event times beyond this were taken for wrong clocks.
    pub clock_bound_ms: i64,
    pub gaps: Vec<Gap>,
    /// What else it takes to make the rows again; `None` where no aggregate is concerned,
    /// and in files of a version that did not write it.
    pub recipe: Option<Recipe>,
}

/// Offsets `[lowest, cut)` of a partition: from the lowest that contributed to the
/// file to the first that the commit does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    pub topic: String,
    pub partition: i32,
    pub lowest: i64,
    pub cut: i64,
}

/// The settings that decide on an aggregate's rows, and which plugin served which stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    pub aggregate: String,
    /// The key's columns.
    pub key: Vec<String>,
    /// The key of the file's rows, as the path below the output has it.
    pub path: String,
    /// The file holds the key as columns too, and the path of a key that has none is a hash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_key_column: bool,
    pub window_ms: i64,
    pub delay_ms: i64,
    /// The column with the event time.
    pub event_time: String,
    pub min_event_time_ms: i64,
    pub max_future_skew_ms: i64,
    /// The broker's id of the topic; `None` if the broker gives none.
    pub topic_id: Option<String>,
    /// Parse, the transforms in their order, `aggregate:NAME`; their plugins oldest first.
    pub stages: Vec<StageUse>,
    /// Windows that were closed before the commit that published them, and up to where their records are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldSpan>,
}

/// Metadata that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    #[error("it has no key {PREFIX}{key}")]
    Missing { key: &'static str },
    #[error("its key {PREFIX}{key} cannot be read: {why}")]
    Wrong { key: &'static str, why: String },
}

impl Footer {
    pub(crate) fn key_values(&self) -> Vec<KeyValue> {
        let mut entries = vec![
            entry("job", self.job.to_string()),
            entry("epoch", self.epoch.to_string()),
            entry("generation", self.generation.to_string()),
            entry("offsets", json(&self.offsets)),
            entry("plugins", json(&self.plugins)),
            entry("clock-bound-ms", self.clock_bound_ms.to_string()),
            entry("gaps", json(&self.gaps)),
        ];
        if let Some(closed_through_ms) = self.closed_through_ms {
            entries.push(entry("closed-through-ms", closed_through_ms.to_string()));
        }
        entries.extend(self.recipe.as_ref().map(|recipe| entry("recipe", json(recipe))));
        entries
    }

    /// Whether metadata have any key of ours.
    pub(crate) fn is_in(entries: &[KeyValue]) -> bool {
        entries.iter().any(|entry| entry.key.starts_with(PREFIX))
    }

    pub(crate) fn read(entries: &[KeyValue]) -> Result<Self, FooterError> {
        Ok(Self {
            job: plain(entries, "job", JobName::new)?,
            epoch: plain(entries, "epoch", str::parse).map(Epoch)?,
            generation: plain(entries, "generation", str::parse).map(Generation)?,
            offsets: of_json(entries, "offsets")?,
            plugins: of_json(entries, "plugins")?,
            closed_through_ms: found(entries, "closed-through-ms")
                .map(|_| plain(entries, "closed-through-ms", str::parse))
                .transpose()?,
            clock_bound_ms: plain(entries, "clock-bound-ms", str::parse)?,
            gaps: of_json(entries, "gaps")?,
            recipe: found(entries, "recipe").map(|_| of_json(entries, "recipe")).transpose()?,
        })
    }
}

pub(crate) fn entry(key: &str, value: String) -> KeyValue {
    KeyValue::new(format!("{PREFIX}{key}"), value)
}

fn json(values: &impl Serialize) -> String {
    serde_json::json!(values).to_string()
}

fn found<'a>(entries: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let is_it = |entry: &&KeyValue| entry.key.strip_prefix(PREFIX) == Some(key);
    entries.iter().find(is_it)?.value.as_deref()
}

fn plain<T, E: std::fmt::Display>(
    entries: &[KeyValue],
    key: &'static str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, FooterError> {
    let text = found(entries, key).ok_or(FooterError::Missing { key })?;
    read(text).map_err(|why| FooterError::Wrong { key, why: why.to_string() })
}

pub(crate) fn of_json<T: DeserializeOwned>(
    entries: &[KeyValue],
    key: &'static str,
) -> Result<T, FooterError> {
    plain(entries, key, |text| serde_json::from_str(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use speed_layer_core::commit::{Digest, OffsetMark};

    fn footer() -> Footer {
        let from = vec![OffsetMark { topic: "ticks".into(), partition: 0, offset: 4 }];
        let plugin =
            PluginUse { name: "ohlcv".into(), digest: Digest([7; 32]), config: Digest([8; 32]), from };
        Footer {
            job: JobName::new("daily").unwrap(),
            epoch: Epoch(5),
            generation: Generation(2),
            offsets: vec![OffsetRange { topic: "ticks".into(), partition: 0, lowest: 3, cut: 9 }],
            plugins: vec![plugin.clone()],
            closed_through_ms: Some(-1),
            clock_bound_ms: 2000,
            gaps: Vec::new(),
            recipe: Some(Recipe {
                aggregate: "daily".into(),
                key: vec!["symbol".into()],
                path: "symbol=A%2FB".into(),
                keep_key_column: true,
                window_ms: 1000,
                delay_ms: 0,
                event_time: "event_time".into(),
                min_event_time_ms: -5,
                max_future_skew_ms: 300_000,
                topic_id: None,
                stages: vec![StageUse { stage: "aggregate:daily".into(), plugins: vec![plugin] }],
                held: vec![HeldSpan { through_ms: 1000, closed_at_ms: 7, cut: Vec::new() }],
            }),
        }
    }

    #[test]
    fn a_footer_reads_back_with_and_without_what_was_added_later() {
        for recipe in [footer().recipe, None] {
            for closed_through_ms in [Some(7), None] {
                let footer = Footer { recipe: recipe.clone(), closed_through_ms, ..footer() };
                assert_eq!(Footer::read(&footer.key_values()), Ok(footer));
            }
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for key in ["job", "epoch", "generation", "offsets", "plugins", "clock-bound-ms", "gaps", "recipe"] {
            let mut entries = footer().key_values();
            let at = entries.iter().position(|entry| entry.key == format!("{PREFIX}{key}")).unwrap();
            entries[at].value = Some("{".into());
            let wrong = Footer::read(&entries).unwrap_err().to_string();
            assert!(wrong.contains(&format!("{PREFIX}{key} cannot be read")), "{wrong}");
            entries.remove(at);
            assert!(Footer::is_in(&entries));
            assert_eq!(Footer::read(&entries).is_err(), key != "recipe");
        }
        assert!(!Footer::is_in(&[KeyValue::new("ARROW:schema".to_owned(), None)]));
    }
}
