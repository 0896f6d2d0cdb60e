//! A worker's end of a shadow: each batch, with what the old stages made of it, is handed
//! on to the thread beside the stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::time::{ClockId, clock_gettime};
use speed_layer_core::records::Records;

use super::{Batch, Item, Link, QUEUE_BYTES_MAX};
use crate::stages::{Chain, EpochContext, Seen};

/// See the module.
#[derive(Debug)]
pub struct Tap {
    pub(super) worker: usize,
    pub(super) link: Arc<Link>,
    pub(super) items: Sender<Item>,
    pub(super) with_rows: bool,
}

impl Tap {
    /// Nobody waits for batches any more.
    pub fn is_over(&self) -> bool {
        self.link.is_over()
    }

    /// The shadow has had as many batches as it was to have.
    pub fn has_enough(&self) -> bool {
        self.link.has_enough()
    }

    /// The new plugin lags so far behind that no more may be taken in.
    pub fn is_full(&self) -> bool {
        self.link.queued_bytes.load(Ordering::Relaxed) > QUEUE_BYTES_MAX && !self.is_over()
    }

    /// Takes a batch through the worker's own stages and hands it on.
    ///
    /// # Errors
    /// The worker's own stages failed.
    pub fn process(
        &self,
        chain: &mut Chain,
        epoch: &Arc<EpochContext>,
        records: &Records,
    ) -> anyhow::Result<()> {
        let began = cpu_time();
        let seen = chain.process_seen(epoch, records, self.with_rows)?;
        let spent = cpu_time().saturating_sub(began);
        let bytes = bytes_of(records, &seen);
        self.link.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let (worker, epoch, records) = (self.worker, Arc::clone(epoch), records.clone());
        self.link.records.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.say(Item::Batch(Box::new(Batch { worker, epoch, records, seen, spent, bytes })));
        self.link.batches.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Tells that the worker hands over, before it does.
    pub fn cut(&self) {
        self.say(Item::WorkerCut(self.worker));
    }

    fn say(&self, item: Item) {
        if self.items.send(item).is_err() {
            self.link.abandon();
        }
    }
}

fn bytes_of(records: &Records, seen: &Seen) -> usize {
    let offered = seen.offered.as_ref().map_or(0, |rows| rows.get_array_memory_size());
    let places = records.len() * (size_of::<i32>() + 2 * size_of::<i64>());
    records.payload_bytes() + places + offered + seen.aside.get_array_memory_size()
}

/// Of the calling thread: others on the machine do not count.
pub fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}
