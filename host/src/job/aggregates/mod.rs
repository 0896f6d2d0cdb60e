//! Aggregates that come and go between a checkpoint and a start. `removed`: the checkpoint
//! has it and the settings no longer; it is refused, or dropped with its open windows.
//! `order` and `backfill`: the settings have it and the checkpoint not yet, and it is to be
//! built from the job's first record on. One that is new and not to be built needs nothing
//! from here: it begins with the first window that it sees whole.

mod backfill;
mod order;
mod removed;

pub use backfill::{BackfillStopped, Over, build};
pub use order::Order;
pub use removed::{Removal, refusal};
