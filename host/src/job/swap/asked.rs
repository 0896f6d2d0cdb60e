//! What whoever asks for a swap may choose, as plain values: they come over the control
//! socket and from the command line. What they mean is decided in `windows` and `shadow`.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What becomes of the open windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Windows {
    /// The new plugin goes on with them, as they are or migrated.
    #[default]
    TakeOver,
    /// Their values so far are written down; the new plugin begins with the next window.
    Reset,
    /// The new plugin makes them anew, from the topic.
    Rebuild,
}

/// How long the new plugin runs beside the old one, and what comes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadowing {
    /// Batches, of all workers together.
    pub batches: u64,
    pub promote: Promote,
}

/// Whether the new plugin takes over when it was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// If nothing differs
    Equal,
    /// Whatever differs
    Always,
    /// Only compare
    Never,
}
