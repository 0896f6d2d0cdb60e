//! The thread beside the stream: it takes the batches through the new stages, keeps the
//! open windows as the new plugin would have them, and compares at each cut.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use speed_layer_core::group::GroupTable;

use super::report::ShadowReport;
use super::tap::cpu_time;
use super::{Batch, CutSeen, Item, Link};
use crate::compare::compare;
use crate::job::open_windows::{FINISHED_KEY, GroupId, OpenWindows};
use crate::stages::{ASIDE_KEY, Chain, EpochContext, Partial};

/// How often it looks whether anybody still waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Open groups that are finished and compared at once.
const GROUPS_AT_ONCE: usize = 4_096;

/// See the module.
pub struct Beside {
    items: Receiver<Item>,
    link: Arc<Link>,
    /// One a worker.
    workers: Vec<Worker>,
    /// One an aggregate.
    windows: Vec<Windows>,
    report: ShadowReport,
    /// Whether the rows offered to the aggregates are compared.
    with_rows: bool,
}

/// What runs beside one worker.
struct Worker {
    chain: Chain,
    /// Handed over, and not merged yet.
    partials: VecDeque<Partial>,
}

/// One aggregate of both sides.
struct Windows {
    /// Finishes what the job has; without groups until the end.
    old: OpenWindows,
    new: OpenWindows,
    /// The groups that had rows of either side since the shadow began.
    touched: BTreeSet<GroupId>,
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.link.abandon();
    }
}

impl Beside {
    pub fn new(
        items: Receiver<Item>,
        link: Arc<Link>,
        chains: Vec<Chain>,
        old: Vec<OpenWindows>,
        new: Vec<OpenWindows>,
        with_rows: bool,
    ) -> Self {
        let workers = chains.into_iter().map(|chain| Worker { chain, partials: VecDeque::new() });
        let windows = old.into_iter().zip(new);
        let windows: Vec<_> =
            windows.map(|(old, new)| Windows { old, new, touched: BTreeSet::new() }).collect();
        let names = windows.iter().map(|windows| windows.old.name.as_str());
        let report = ShadowReport::new(names);
        Self { items, link, workers: workers.collect(), windows, report, with_rows }
    }

    /// Runs until the last cut has been compared.
    ///
    /// # Errors
    /// The new plugin failed, nobody waits any more, or the job has ended.
    pub fn run(mut self) -> anyhow::Result<ShadowReport> {
        loop {
            if self.link.is_abandoned.load(Ordering::SeqCst) {
                bail!("whoever asked for it has gone");
            }
            let item = match self.items.recv_timeout(LOOK_EVERY) {
                Ok(item) => item,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => bail!("the job ended before it was over"),
            };
            match item {
                Item::Begin(groups) => self.begin(groups)?,
                Item::Batch(batch) => self.batch(&batch)?,
                Item::WorkerCut(worker) => {
                    let worker = &mut self.workers[worker];
                    worker.partials.push_back(worker.chain.cut());
                }
                Item::Cut(cut) => {
                    let is_last = cut.last.is_some();
                    self.cut(*cut)?;
                    if is_last {
                        return Ok(std::mem::take(&mut self.report).concluded());
                    }
                }
            }
        }
    }

    fn begin(&mut self, groups: Vec<GroupTable>) -> anyhow::Result<()> {
        for (windows, groups) in self.windows.iter_mut().zip(groups) {
            windows.old.put(groups);
            windows.new.take_over(&windows.old)?;
            windows.old.clear();
        }
        Ok(())
    }

    fn batch(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let chain = &mut self.workers[batch.worker].chain;
        let began = cpu_time();
        let seen = chain.process_seen(&batch.epoch, &batch.records, self.with_rows);
        let seen = seen.with_context(|| format!("with {}", batch_name(batch)))?;
        let spent = cpu_time().saturating_sub(began);
        chain.forget_sides();
        self.link.queued_bytes.fetch_sub(batch.bytes, Ordering::Relaxed);
        self.report.count(batch.records.len(), batch.spent, spent);
        self.report.set_aside.add(compare(&batch.seen.aside, &seen.aside, &ASIDE_KEY)?);
        self.report.add_rows(batch.seen.offered.as_ref(), seen.offered.as_ref())?;
        Ok(())
    }

    /// Does with the new states what the job did with its own, in the same order, so that
    /// equal plugins come to the same bits.
    fn cut(&mut self, cut: CutSeen) -> anyhow::Result<()> {
        for groups in &cut.changed {
            self.touch(groups);
        }
        for &worker in &cut.merged {
            for partial in std::mem::take(&mut self.workers[worker].partials) {
                self.merge(&cut.epoch, &partial.groups)?;
            }
        }
        for (index, (windows, closed)) in self.windows.iter_mut().zip(&cut.closed).enumerate() {
            let context = cut.epoch.for_aggregate(index);
            let new = windows.new.close(&context, cut.clocks[index].released_through_ms)?;
            let rows = (windows.old.keyed(&closed.parts)?, windows.new.keyed(&new.parts)?);
            self.report.windows[index].closed.add(compare(&rows.0, &rows.1, &FINISHED_KEY)?);
            self.report.windows[index].note(&closed.notes, &new.notes)?;
        }
        self.link.queued_bytes.fetch_sub(cut.bytes, Ordering::Relaxed);
        cut.last.map_or(Ok(()), |groups| self.compare_open(&cut.epoch, groups))
    }

    fn merge(&mut self, epoch: &EpochContext, partials: &[GroupTable]) -> anyhow::Result<()> {
        self.touch(partials);
        for (index, (windows, groups)) in self.windows.iter_mut().zip(partials).enumerate() {
            windows.new.absorb(&epoch.for_aggregate(index), groups)?;
        }
        Ok(())
    }

    fn touch(&mut self, partials: &[GroupTable]) {
        for (windows, groups) in self.windows.iter_mut().zip(partials) {
            for window in groups.groups() {
                windows.touched.extend(window.keys.into_iter().map(|key| (window.start_us, key)));
            }
        }
    }

    /// Has both sides finish, for nothing, what is open and had rows.
    fn compare_open(&mut self, epoch: &EpochContext, groups: Vec<GroupTable>) -> anyhow::Result<()> {
        for (index, (windows, groups)) in self.windows.iter_mut().zip(groups).enumerate() {
            windows.old.put(groups);
            let context = epoch.for_aggregate(index);
            let touched: Vec<&GroupId> = windows.touched.iter().collect();
            for some in touched.chunks(GROUPS_AT_ONCE) {
                let old = windows.old.finish_on_scratch(&context, some)?;
                let new = windows.new.finish_on_scratch(&context, some)?;
                let report = &mut self.report.windows[index];
                report.open.add(compare(&old.rows, &new.rows, &FINISHED_KEY)?);
                report.note(&old.notes, &new.notes)?;
            }
        }
        Ok(())
    }
}

fn batch_name(batch: &Batch) -> String {
    let first = batch.records.partitions.first().zip(batch.records.offsets.first());
    let (partition, offset) = first.unwrap_or((&0, &0));
    format!("a batch of {} records from partition {partition} offset {offset} on", batch.records.len())
}
