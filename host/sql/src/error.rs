//! Why a query has no answer, in the words of who asked: what the engine says is put under
//! one of a few headings, each with what to do.

use std::time::Duration;

use datafusion::error::DataFusionError;

/// Where in a query's text; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no SQL, or no query that has a meaning over these tables.
    #[error("{}{problem}", at(*place))]
    Refused { problem: String, place: Option<Place> },
    #[error("{}there is no {what} `{name}`; {instead}", at(*place))]
    Unknown { what: &'static str, name: String, instead: String, place: Option<Place> },
    #[error("a query only reads: SELECT, EXPLAIN, SHOW and DESCRIBE; this is {what}")]
    NotReading { what: String },
    #[error("the query took longer than {} s and was given up; ask for less, or give it more with --timeout", time.as_secs_f64())]
    TooLong { time: Duration },
    #[error(
        "the query needs more memory than it may have; ask for less, or give it more with --memory ({cause})"
    )]
    TooMuchMemory { cause: String },
    #[error("the query failed: {0}")]
    Failed(String),
}

fn at(place: Option<Place>) -> String {
    place.map(|at| format!("line {}, column {}: ", at.line, at.column)).unwrap_or_default()
}

impl QueryError {
    pub(crate) fn system(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(cause) => {
                Self::TooMuchMemory { cause: cause.lines().next().unwrap_or_default().to_owned() }
            }
            DataFusionError::External(cause) => Self::Failed(chain_of(cause.as_ref())),
            root => Self::Failed(root.strip_backtrace()),
        }
    }
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}
