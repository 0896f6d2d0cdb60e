//! What a copy came to: files, bytes and rows, before and after.

use serde_json::{Value, json};

use super::Order;

/// Files of an output or of its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    pub folder: String,
    pub files: u64,
    pub bytes: u64,
    pub rows: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub from: Side,
    pub into: Side,
    /// Folders whose files were joined, and those that the earlier copy had already.
    pub partitions_joined: u64,
    pub partitions_kept: u64,
    /// Files of other kinds, left out.
    pub others: u64,
}

impl Side {
    /// Counts a file.
    pub fn add(&mut self, bytes: u64, rows: u64) {
        self.files += 1;
        self.bytes += bytes;
        self.rows += rows;
    }

    pub fn mean_file_bytes(&self) -> u64 {
        self.bytes.checked_div(self.files).unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({
            "folder": self.folder,
            "files": self.files,
            "bytes": self.bytes,
            "rows": self.rows,
            "mean_file_bytes": self.mean_file_bytes(),
        })
    }
}

impl Report {
    pub(super) fn new(order: Order<'_>, others: u64) -> Self {
        let side = |folder: &std::path::Path| Side {
            folder: folder.display().to_string(),
            files: 0,
            bytes: 0,
            rows: 0,
        };
        Self {
            from: side(order.from),
            into: side(order.into),
            partitions_joined: 0,
            partitions_kept: 0,
            others,
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "from": self.from.json(),
            "into": self.into.json(),
            "partitions_joined": self.partitions_joined,
            "partitions_kept": self.partitions_kept,
            "other_files": self.others,
        })
    }
}
