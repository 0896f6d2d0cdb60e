//! `host checkpoint`: what a job's checkpoints say, whether they are whole, and going
//! back to an earlier one.

mod rollback;
mod show;
mod verify;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use speed_layer_core::commit::JobName;
use speed_layer_store::{DiskStore, inspect};

#[derive(Debug, Subcommand)]
pub enum CheckpointCommand {
    /// Say how far a job is: offsets, clocks, open windows, plugins, published files
    Show(show::ShowArgs),
    /// Read every checkpoint and every file that the newest one publishes, and compare
    Verify(verify::VerifyArgs),
    /// Go back to an earlier checkpoint; what was published later is moved aside
    Rollback(rollback::RollbackArgs),
}

/// Which job.
#[derive(Debug, Args)]
struct JobArgs {
    /// The parent folder of the jobs' checkpoints, as `host run` has it, or one job's own
    #[arg(long, value_name = "DIR", required_unless_present = "dir")]
    checkpoint: Option<PathBuf>,
    /// The same as --checkpoint
    #[arg(value_name = "DIR", conflicts_with = "checkpoint")]
    dir: Option<PathBuf>,
    /// The job; needed where the folder holds several
    #[arg(long, value_name = "NAME", value_parser = JobName::new)]
    job: Option<JobName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

impl JobArgs {
    fn store(&self) -> anyhow::Result<DiskStore> {
        let dir = self.checkpoint.as_ref().or(self.dir.as_ref()).cloned().unwrap_or_default();
        Ok(inspect::find(&dir, self.job.as_ref())?)
    }
}

impl Format {
    /// Prints a report, as it is or as `table` makes it readable.
    pub(super) fn print(self, report: &Value, table: impl FnOnce(&Value) -> String) -> std::io::Result<()> {
        let text = match self {
            Self::Json => format!("{report:#}\n"),
            Self::Table => table(report),
        };
        std::io::stdout().write_all(text.as_bytes())
    }
}

/// A value as text, strings without their quotes and null as a dash.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn run(command: CheckpointCommand) -> anyhow::Result<()> {
    match command {
        CheckpointCommand::Show(args) => show::run(&args),
        CheckpointCommand::Verify(args) => verify::run(&args),
        CheckpointCommand::Rollback(args) => rollback::run(&args),
    }
}
