//! How a running job's progress is shown: one line on a terminal, or one of JSON a commit. What there is to show, the
//! job tells; logs are apart from it.

mod line;
mod record;

use std::io::{IsTerminal, Write};

use anyhow::Context;
use clap::ValueEnum;

use crate::config::JobSpec;
use crate::job::{JobHandle, Progress};
use line::StatusLine;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Kind {
    /// A status line where stderr is a terminal and logs are for people
    #[default]
    Auto,
    /// A line of JSON a commit on stdout
    Json,
    /// Nothing but logs
    None,
}

/// The progress of one job.
pub enum Shown {
    Line(StatusLine),
    Json,
    Nothing,
}

impl Shown {
    /// `for_people`: logs are.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(kind: Kind, for_people: bool, spec: &JobSpec, job: &JobHandle) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::Auto if for_people && std::io::stderr().is_terminal() => {
                Self::Line(StatusLine::start(&spec.name, job.clone())?)
            }
            Kind::Json => Self::Json,
            Kind::Auto | Kind::None => Self::Nothing,
        })
    }

    /// Tells of a commit. What cannot be shown is no reason to stop; it is logged.
    pub fn show(&self, spec: &JobSpec, progress: &Progress) {
        match self {
            Self::Line(line) => line.note(progress),
            Self::Json => {
                let record = record::record(&spec.name, &spec.source.topic, progress);
                if let Err(error) = writeln!(std::io::stdout(), "{record}").context("stdout") {
                    tracing::warn!("the progress cannot be shown: {error:#}");
                }
            }
            Self::Nothing => {}
        }
    }
}
