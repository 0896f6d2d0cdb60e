//! What each Parquet file says of itself in its key-value metadata: enough to know,
//! from the file alone, which records and which plugins made it. Keys begin with
//! `speed-layer.`; values are plain numbers, names, or JSON.

use parquet::file::metadata::KeyValue;
use serde::Serialize;
use speed_layer_core::commit::{Epoch, Gap, Generation, JobName, PluginUse};

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
}

/// Offsets `[lowest, cut)` of a partition: from the lowest that contributed to the
/// file to the first that the commit does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OffsetRange {
    pub topic: String,
    pub partition: i32,
    pub lowest: i64,
    pub cut: i64,
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
        entries
    }
}

fn entry(key: &str, value: String) -> KeyValue {
    KeyValue::new(format!("speed-layer.{key}"), value)
}

fn json(values: &impl Serialize) -> String {
    serde_json::json!(values).to_string()
}
