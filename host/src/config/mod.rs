//! What a job is, from a TOML file, from flags, or from both (flags win).
//!
//! `file` reads the TOML, `flags` lays the command line over it, `job` is the
//! result that the rest of the host works from. Nothing here touches a broker, a
//! plugin or an output: a wrong configuration is refused before anything is.

mod aggregate_sinks;
mod changes;
mod console;
mod file;
mod flags;
mod http;
mod job;
mod limits;
mod nearest;
mod properties;
mod settings;
mod side_sinks;
mod values;

pub use aggregate_sinks::{OutputMode, RecordForm, TopicSink, WindowConsole};
pub use console::ConsoleSpec;
pub use flags::{RunFlags, load};
pub use http::HttpSpec;
pub use job::{
    AggregateChanges, AggregateSpec, ClockSpec, Compression, JobSpec, OnDataLoss, OnGroupFailure, PoisonSpec,
    SideSinks, SourceSpec, StageSpec, Start, Trigger,
};
pub use nearest::nearest;
pub use properties::properties_of;

/// A configuration that cannot be used; exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "{path} cannot be read: {reason}; give the path of a pipeline file, or describe the job by flags alone"
    )]
    Unreadable { path: String, reason: String },
    #[error("{place}: {problem}")]
    Invalid { place: String, problem: String },
    #[error("{what} is missing; give `{flag}` or set `{key}` in the pipeline file")]
    Missing { what: &'static str, flag: &'static str, key: &'static str },
}

impl ConfigError {
    pub(crate) fn invalid(place: impl Into<String>, problem: impl ToString) -> Self {
        Self::Invalid { place: place.into(), problem: problem.to_string() }
    }
}
