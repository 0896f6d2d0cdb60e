//! Dead letters and late rows as something to work with: found again, counted, shown, and
//! their records put back into the topic that they came from.
//!
//! The topic is the truth: a record that is to be tried again is written again, with an
//! offset of its own, and whatever reads the topic takes it as any other. `choose` says
//! which letters stand for a record that may be, `ledger` what already was, `replay`
//! writes the records and their ledger in transactions. `outbox` sends letters that go to
//! a topic in the first place. Nothing here runs a plugin or looks at a checkpoint.

mod choose;
mod filter;
mod headers;
mod kept;
mod ledger;
mod one_log;
mod outbox;
mod replay;
mod shown;

pub use filter::{Filter, OffsetSpan};
pub use kept::{Kept, Order, Selection};
pub use ledger::place_of;
pub use outbox::KafkaOutbox;
pub use replay::{Asked, replay};
pub use shown::{bytes_shown, text_shown};
