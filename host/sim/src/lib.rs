//! A simulator of everything that can befall a job's commits: the real committer, the
//! real start and the core's real decisions, over a file system in memory that forgets
//! what was not synced, on a machine whose processes are killed, whose power goes, whose
//! disk fails and which lets a second owner in. All of it is drawn from a seed.
//!
//! Built up from `disk`, what is durable; `plan`, what befalls a process; `machine`,
//! processes taking turns; `layer`, the store's file layer on that; `truth`, the
//! records and what must come of them; `job` and `counting`, the job; `watcher`
//! and `reader`, who look at the outputs; `scenario`, one seed's story; and
//! `mutants`, bugs that must be caught.
//!
//! Not simulated: Kafka, plugins, threads within a process. Production code does not
//! depend on this crate.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod counting;
mod disk;
mod job;
mod layer;
mod machine;
mod mutants;
mod plan;
mod reader;
mod scenario;
mod truth;
mod watcher;

pub use mutants::{MUTANTS, Mutant, SyncKind};
pub use scenario::{Failure, Tally, log, play};
pub use watcher::Violation;
