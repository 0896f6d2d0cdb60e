//! Whoever asked for a shadow: starts it, tells how far it is, and waits for its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded, unbounded};

use super::beside::Beside;
use super::{Item, Link, Order, ShadowProgress, ShadowReport};
use crate::job::Event;
use crate::job::open_windows::OpenWindows;
use crate::job::swap::asked::Shadowing;
use crate::job::swap::prepare::Opened;
use crate::plan::{Plan, StageName};

/// How often whoever asked is told how far the shadow is; one who has gone is noticed so.
const TELL_EVERY: Duration = Duration::from_millis(250);

impl Order {
    /// Tells the thread beside the stream something that takes `bytes` of memory.
    pub(super) fn say(&self, item: Item, bytes: usize) {
        self.link.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.items.send(item).is_err() {
            self.link.abandon();
        }
    }
}

/// Runs what was opened beside the stream of the job that runs as `running`.
///
/// # Errors
/// The new plugin failed, whoever asked has gone, or the job ended. The stream is as it was.
pub fn run(
    running: &Plan,
    opened: Opened,
    stage: &StageName,
    shadowing: Shadowing,
    events: &Sender<Event>,
    tell: &mut dyn FnMut(ShadowProgress) -> anyhow::Result<()>,
) -> anyhow::Result<ShadowReport> {
    let old = running.aggregates.iter().map(OpenWindows::open).collect::<anyhow::Result<Vec<_>>>()?;
    let link = Arc::new(Link::new(shadowing.batches));
    let (items, heard) = unbounded();
    let chains = opened.chains.into_iter().flatten().map(|chain| *chain).collect();
    let with_rows = !matches!(stage, StageName::Aggregate(_));
    let beside = Beside::new(heard, Arc::clone(&link), chains, old, opened.aggregates, with_rows);
    let (reply, outcome) = bounded(1);
    let run = move || {
        // Whoever waited may have gone.
        let _ = reply.send(beside.run());
    };
    thread::Builder::new().name("shadow".to_owned()).spawn(run).context("its thread cannot be started")?;
    let order = Order { link: Arc::clone(&link), items, with_rows };
    events.send(Event::Shadow(Box::new(order))).ok().context("the job ended before the shadow began")?;
    loop {
        match outcome.recv_timeout(TELL_EVERY) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Timeout) => tell(link.progress()).inspect_err(|_| link.abandon())?,
            Err(RecvTimeoutError::Disconnected) => {
                anyhow::bail!("the shadow run met a fault of the host itself; please report this as a bug")
            }
        }
    }
}

impl Link {
    fn progress(&self) -> ShadowProgress {
        ShadowProgress {
            batches: self.batches.load(Ordering::SeqCst),
            batches_wanted: self.batches_wanted,
            records: self.records.load(Ordering::Relaxed),
        }
    }
}
