//! A stretch of the topic read again and folded anew: what makes a published file's rows a
//! second time, tries a plugin on the past, and gives a running job's open windows to a
//! plugin that cannot take over their states.
//!
//! Three steps, each usable alone:
//!
//! 1. [`Stretch`]: which offsets of which partitions, `[lowest, cut)`, and whether the
//!    brokers still have them all ([`stretch::ReplayError`] if not). That of a job's open windows is
//!    `Stretch::of_windows(topic, open.window_offsets(), cut)`.
//! 2. [`read`]: gives out every record of a stretch, over a consumer of its own
//!    ([`KafkaTopic`]) that belongs to no group and commits nothing.
//! 3. [`Refold`]: takes the batches through the stages of a plan, folds the rows of the
//!    windows that a [`Choice`] names, one an aggregate, and gives the windows. [`Again`] is the half of it
//!    that makes none: for who closes windows while the stretch is read.
//!
//! ```text
//! let stretch = Stretch::of_windows(topic, aggregates' open.window_offsets(), &cut);
//! let refused = Refused::read(&dead_letters, &stretch)?;
//! let judge = Judge { bounds, skew_ms, refused };
//! let mut refold = Refold::open(&plan, epoch, judge, vec![Choice::Open; aggregates])?;
//! read(&KafkaTopic::of(source, job, wants_headers)?, &stretch, &mut |records| refold.take(records))?;
//! let open: Vec<OpenWindows> = refold.finish()?;
//! ```
//!
//! The rows are those of the first time, exactly:
//!
//! - A row of a window that is not closed was never late, so every row of it counts, with
//!   `Choice::Open` and the job's present clocks in `epoch`. Rows of a closed window that
//!   came after its close lie beyond its file's cut, which `Choice::Windows` holds to.
//! - What the clock refused, it refuses again: [`Refused`] knows from the dead letters which
//!   records those were and what they were held to. All other records were believed, so the
//!   present clock believes them too. On a topic with LogAppendTime records carry their own.
//!   A running job asks once the commit of the cut is published: its dead letters are there
//!   then.
//!
//! It writes nothing, decides nothing about commits, and sets nothing aside: dead letters
//! and late rows were told of when the records were first read.

mod again;
mod refold;
mod refused;
pub mod stretch;
mod topic;

pub use again::{Again, Judge};
pub use refold::Refold;
pub use refused::Refused;
pub use speed_layer_core::choice::{Choice, OffsetRanges};
pub use stretch::Stretch;
pub use topic::{KafkaTopic, RereadTopic, read, read_steered};

// What those outside a running job need to begin.
pub use super::commit::clock_bounds;
pub use super::open::{runtime, store};
pub use super::open_windows::OpenWindows;
pub use super::stored::plugin;
