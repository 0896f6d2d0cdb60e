//! `host produce --from binance` and `--from websocket`: an exchange's 24-hour tickers, one
//! message each. A source asks or listens on threads of its own and tells its news; `desk`
//! takes them, writes to Kafka and counts. Nothing that an exchange does or sends ends it.

mod address;
mod backoff;
mod binance;
mod decimal;
mod desk;
mod gaps;
mod hold;
mod schedule;
mod skip;
mod tally;
mod ticker;
mod websocket;
mod wire;

use std::convert::Infallible;
use std::io;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

pub use address::Address;
pub use binance::Polls;
pub use desk::{Plan, run};
pub use tally::Tally;
pub use websocket::Stream;

use gaps::Gap;
use skip::Reason;
use ticker::Tick;

/// What a source tells.
#[derive(Debug)]
pub enum News {
    Tick(Tick),
    /// Something that came, or should have come, was left out.
    Skipped(Reason),
    /// So many polls were left out since the one before took too long.
    Missed(u64),
    /// A poll was left out since the exchange had asked to be left alone.
    HeldBack,
    Reconnected,
    Gap(Gap),
}

/// Where tickers come from.
pub trait Source {
    /// Begins to tell `news`, until its receiver or the sender of `quit` is gone.
    ///
    /// # Errors
    /// When a thread cannot be started.
    fn start(self: Box<Self>, news: Sender<News>, quit: Receiver<Infallible>) -> io::Result<()>;

    /// Its name in the summary.
    fn name(&self) -> &'static str;
}

/// Waits; whether to go on after it.
fn wait(quit: &Receiver<Infallible>, until: Instant) -> bool {
    matches!(quit.recv_deadline(until), Err(RecvTimeoutError::Timeout))
}
