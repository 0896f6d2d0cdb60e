//! Parts of a job under one roof, for the measuring programs in `examples/`, which put them together in other
//! ways than the program does. No interface for anybody else: it changes with the parts.

pub use super::commit::EpochCommit;
pub use super::feed::RecordFeed;
pub use super::open::{Opened, Planned, Started, store, store_over};
pub use super::positions::Beginnings;
pub use super::{JobHandle, Summary, run_over};
pub use crate::config::{JobSpec, RunFlags, load};
pub use crate::stages::EpochContext;
