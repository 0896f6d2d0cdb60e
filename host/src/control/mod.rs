//! A running job's control socket, `control.sock` in its checkpoint directory: whoever
//! may run the job may ask it for a swap: the socket is its user's alone. One request a
//! connection: a line of JSON, then the component's bytes; answers are lines of JSON.

mod client;
mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::job::swap::{Shadowing, Windows};

pub use client::ask;
pub use server::Server;

/// The socket's name in the job's checkpoint directory.
const SOCKET: &str = "control.sock";
/// No request's line is longer.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What is asked of a running job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapRequest {
    /// As `host swap --stage` has it.
    pub stage: String,
    /// The plugin's, for messages.
    pub name: String,
    /// What follows the line; 0 asks for the plugin before the present one, or before the
    /// one on probation.
    pub component_bytes: u64,
    pub dry_run: bool,
    pub allow_downgrade: bool,
    /// What becomes of open windows.
    #[serde(default)]
    pub windows: Windows,
    /// Where the aggregate's windows go from now on; an absolute path.
    #[serde(default)]
    pub output: Option<PathBuf>,
    /// How it was asked for, up to where more flags may follow.
    #[serde(default)]
    pub command: String,
    /// Runs it beside the stream first.
    #[serde(default)]
    pub shadow: Option<Shadowing>,
    /// For the history.
    pub asked_by: String,
}

/// One line of an answer. The last is `Done`, `Told` of a dry run, or `Failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What the swap changes, before it is made.
    Plan(serde_json::Value),
    /// How far the run beside the stream is.
    Shadowing(serde_json::Value),
    /// What that has found, where the swap goes on.
    Shadowed(serde_json::Value),
    /// What became of it.
    Done(serde_json::Value),
    /// It was only asked for.
    Told,
    Failed(String),
}
