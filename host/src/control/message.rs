//! What is said over the control socket, as values, and how it is taken from what came.
//! No socket here: bytes in, values out, and no more held than was sent.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::job::swap::{Shadowing, Windows};

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
    /// The component's, in hexadecimal digits, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// For the history.
    pub asked_by: String,
}

/// Asks for copies of what is not committed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyRequest {
    pub ask: CopyWord,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyWord {
    Copies,
}

/// What a connection begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Swap(Box<SwapRequest>),
    Copies,
}

/// One line of an answer. The last is `Done`, `Told` of a dry run, `Copies`, or `Failed`.
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
    /// Copies follow, one a worker, of the states since the commit of this epoch.
    Copies {
        epoch: u64,
        bytes: Vec<u64>,
    },
    Failed(String),
}

impl Asked {
    /// The request that a connection begins with; what follows it is left there.
    ///
    /// # Errors
    /// No line came in time, or it is too long or no request.
    pub fn read(reader: &mut impl BufRead) -> anyhow::Result<Self> {
        let mut line = String::new();
        reader.take(LINE_BYTES_MAX).read_line(&mut line).context("no request was heard")?;
        if serde_json::from_str::<CopyRequest>(&line).is_ok() {
            return Ok(Self::Copies);
        }
        let swap = serde_json::from_str(&line);
        swap.map(Self::Swap)
            .context("the request cannot be read; is `host` of the same version as the running job?")
    }
}

/// The component that follows a request.
///
/// # Errors
/// Not all of its `bytes` came in time.
pub fn component(reader: &mut impl Read, bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut component = Vec::new();
    reader.take(bytes).read_to_end(&mut component).context("the component was not sent in time")?;
    ensure!(
        component.len() as u64 == bytes,
        "{} bytes of the component came in place of {bytes}",
        component.len()
    );
    Ok(component)
}
