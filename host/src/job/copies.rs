//! What the workers have folded since the last commit, copied for readers beside the stream. One copy serves
//! all who ask within a while, so that readers, however many, cost the workers no more than that.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, Sender, bounded};
use speed_layer_core::commit::{CopyManifest, Epoch, FORMAT_VERSION, JobName};
use speed_layer_core::group::GroupTable;
use speed_layer_store::checkpoint::encode_copy;

use super::Event;
use super::worker::Command;
use crate::config::JobSpec;

/// How long is waited for a commit or a probation to end that is in the way.
const WAIT_MAX: Duration = Duration::from_secs(20);
const WAIT_STEP: Duration = Duration::from_millis(5);

/// Partial states of every worker, each as [`encode_copy`] has them.
#[derive(Debug)]
pub struct Copies {
    /// The commit that they come after.
    pub epoch: Epoch,
    pub workers: Vec<Vec<u8>>,
}

/// Asks the coordinator for copies.
#[derive(Debug)]
pub struct CopyOrder {
    pub taken: Sender<Taken>,
}

impl CopyOrder {
    /// Has the workers copy what they hold since the commit of `epoch`.
    pub fn give(&self, epoch: Epoch, workers: &[Sender<Command>]) {
        let (to, states) = bounded(workers.len());
        for worker in workers {
            // A worker that is gone has said why: its report is among the events.
            let _ = worker.send(Command::Copy(to.clone()));
        }
        // Whoever asked may not wait any more.
        let _ = self.taken.send(Taken { epoch, workers: workers.len(), states });
    }
}

/// What the coordinator has set going.
#[derive(Debug)]
pub struct Taken {
    pub epoch: Epoch,
    pub workers: usize,
    /// The states of each worker, one an aggregate.
    pub states: Receiver<Vec<GroupTable>>,
}

/// Gives out copies of a running job's uncommitted states.
#[derive(Debug)]
pub struct Copier {
    job: JobName,
    /// The aggregates', in their order.
    names: Vec<String>,
    events: Sender<Event>,
    /// How old a copy may be.
    refresh: Duration,
    last: Mutex<Option<(Instant, Arc<Copies>)>>,
}

impl Copier {
    pub fn new(spec: &JobSpec, job: &JobName, events: Sender<Event>) -> Self {
        Self {
            job: job.clone(),
            names: spec.aggregates.iter().map(|of| of.name.clone()).collect(),
            events,
            refresh: Duration::from_millis(spec.live_refresh_ms),
            last: Mutex::default(),
        }
    }

    /// A copy that was taken after this call began, or at most `refresh` before.
    ///
    /// # Errors
    /// The job is ending, or a commit or swap is in the way for too long.
    pub fn copies(&self) -> anyhow::Result<Arc<Copies>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, copies)) = &*last
            && at.elapsed() <= self.refresh
        {
            return Ok(Arc::clone(copies));
        }
        let until = Instant::now() + WAIT_MAX;
        while Instant::now() < until {
            let began = Instant::now();
            if let Some(copies) = self.take(until)? {
                let copies = Arc::new(copies);
                *last = Some((began, Arc::clone(&copies)));
                return Ok(copies);
            }
            thread::sleep(WAIT_STEP);
        }
        bail!("a commit or a swap takes too long to tell what comes after it; ask again")
    }

    /// `None` where the coordinator or a worker has other things to do.
    fn take(&self, until: Instant) -> anyhow::Result<Option<Copies>> {
        let (taken, answer) = bounded(1);
        self.events.send(Event::Copy(CopyOrder { taken })).ok().context("the job is ending")?;
        let Ok(Taken { epoch, workers, states }) = answer.recv_deadline(until) else { return Ok(None) };
        let mut copies = Vec::new();
        while copies.len() < workers {
            let Ok(tables) = states.recv_deadline(until) else { return Ok(None) };
            copies.push(self.encoded(epoch, &tables)?);
        }
        Ok(Some(Copies { epoch, workers: copies }))
    }

    fn encoded(&self, epoch: Epoch, tables: &[GroupTable]) -> anyhow::Result<Vec<u8>> {
        let manifest = CopyManifest { format: FORMAT_VERSION, job: self.job.clone(), epoch };
        let named = self.names.iter().cloned().zip(tables);
        let states =
            named.map(|(name, table)| Ok((name, table.export()?))).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(encode_copy(&manifest, &states)?)
    }
}
