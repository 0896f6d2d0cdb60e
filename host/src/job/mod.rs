//! A running job: opened, run to its end, closed.
//!
//! `open` finds out where to begin and refuses what cannot go well; `worker` threads
//! take batches through the stages; `coordinator` decides when to commit; `commit`
//! commits; `partitions` and `open_windows` are what lies between; `lookout` and `changes`
//! are about what becomes of the topic meanwhile. `swap` brings other plugins in, `aggregates`
//! has aggregates come and go at a start; `replay` reads a stretch of the topic again, and `held`
//! the open windows of a checkpoint.

mod aggregates;
mod budget;
mod changes;
mod closing;
mod commit;
mod control;
mod coordinator;
mod copies;
mod drift;
mod feed;
mod held;
pub mod inside;
mod lookout;
mod memory;
mod moved;
mod open;
mod open_windows;
mod partitions;
mod positions;
mod process;
mod progress;
mod recipe;
pub mod replay;
mod side_files;
mod snapshots;
mod stored;
mod summary;
pub mod swap;
mod take_over;
mod worker;

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::bounded;
use speed_layer_kafka::{BrokerError, Source};
use speed_layer_store::layer::FileLayer;
use speed_layer_store::{CommitStore, PosixStore};
use tracing::info;

pub use control::{JobHandle, Phase};
pub use copies::{Copier, Copies};
pub use held::{Held, held, held_plan, held_schema};
pub use open::{Standpoint, adopt, compiler, configured_plan, plain_runtime};
pub use process::rss_bytes;
pub use progress::{PartitionStep, Progress, Standing, Took};
pub use summary::Summary;

use crate::config::JobSpec;
use crate::control::Server;
use aggregates::BackfillStopped;
use closing::Closing;
use coordinator::{Coordinator, Pulse};
use copies::CopyOrder;
use feed::RecordFeed;
use lookout::Seen;
use open::Opened;
use swap::{Order, Prepared, Seat, Watcher};
use worker::{Report, Worker};

/// How long an end waits for clients to part from brokers that may be away.
const PARTING: Duration = Duration::from_secs(3);

/// What the coordinator hears.
#[derive(Debug)]
pub enum Event {
    StopAsked,
    Topic(Seen),
    Worker(usize, Report),
    Swap(Box<Prepared>),
    /// Of the swap that is waiting or on probation.
    TakenBack,
    Shadow(Box<Order>),
    Copy(CopyOrder),
}

/// Runs `spec` until it ends by itself or `stop` is asked; `on_commit` is told of each commit.
///
/// # Errors
/// A refusal at the start, with nothing written; or a failure later, with nothing lost:
/// the next start goes on from the last commit.
pub fn run(
    spec: &JobSpec,
    stop: &JobHandle,
    on_commit: &mut dyn FnMut(&Progress),
) -> anyhow::Result<Summary> {
    run_over(spec, open::store(spec)?, stop, on_commit)
}

/// As `run`, over a store of the caller's.
///
/// # Errors
/// As `run`.
pub fn run_over<L: FileLayer + Send + 'static>(
    spec: &JobSpec,
    store: PosixStore<L>,
    stop: &JobHandle,
    on_commit: &mut dyn FnMut(&Progress),
) -> anyhow::Result<Summary> {
    let opened = match Opened::open(spec, store, stop) {
        Err(error) if is_stopped(&error) => return Ok(Summary::of_nothing(spec)),
        opened => opened?,
    };
    opened.run(stop, on_commit)
}

/// Ends the process that runs the job of `spec`, if one does, and waits until the job is free.
///
/// # Errors
/// Its owner is not known for certain, may not be ended, or does not end.
pub fn take_over(spec: &JobSpec) -> anyhow::Result<()> {
    take_over::take_over(&open::store(spec)?, take_over::Patience::default())
}

/// Asked to stop before there was anything to do: while waiting for the topic, or building aggregates.
fn is_stopped(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(BrokerError::Stopped { .. })) || error.is::<BackfillStopped>()
}

/// Milliseconds since 1970 UTC by the wall clock.
pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Starts a worker's thread. A panic in it is reported as a failure, never shown raw.
fn spawn<F: RecordFeed + 'static>(worker: Worker<F>) -> anyhow::Result<thread::JoinHandle<()>> {
    let (index, events) = (worker.index, worker.events.clone());
    thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            if std::panic::catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                let error = anyhow::anyhow!("worker {index} met a fault of the host itself; nothing since the last commit was committed, please report this as a bug");
                // A coordinator that no longer listens has ended the job.
                let _ = events.send(Event::Worker(index, Report::Failed(error)));
            }
        })
        .context("a worker's thread cannot be started")
}

/// Closes the client, which waits for answers about the group's offsets. They come late, if
/// at all, from brokers that are away, and nothing rests on them.
fn part(source: Source) {
    let (alive, end) = bounded::<()>(0);
    let closing = thread::Builder::new().name("closing".to_owned()).spawn(move || {
        drop(source);
        drop(alive);
    });
    if closing.is_ok() {
        // Gone or not, the end has come.
        let _ = end.recv_timeout(PARTING);
    }
}

impl<F: RecordFeed + 'static, L: FileLayer + Send + 'static> Opened<'_, F, L> {
    fn run(self, stop: &JobHandle, on_commit: &mut dyn FnMut(&Progress)) -> anyhow::Result<Summary> {
        let Self {
            spec,
            workers,
            events,
            shared,
            partitions,
            topic,
            epoch,
            mut commits,
            source,
            swapper,
            backfilled,
        } = self;
        let watcher = spec.watch.then(|| Watcher::start(Arc::clone(&swapper))).transpose()?;
        let copier = Copier::new(spec, commits.committer.store().job(), swapper.events.clone());
        let control = Server::start(commits.committer.store().layout().checkpoint_dir(), swapper, copier)?;
        info!(job = %spec.name, epoch = epoch.epoch, workers = workers.len(), "started");
        let start_ms = process::age_ms();
        let (workers, commands): (Vec<_>, Vec<_>) = workers.into_iter().unzip();
        let threads = workers.into_iter().map(spawn).collect::<anyhow::Result<Vec<_>>>()?;
        let mut coordinator = Coordinator {
            trigger: spec.trigger,
            closing: Closing::of(spec)?,
            workers: commands,
            events,
            shared: Arc::clone(&shared),
            partitions,
            topic,
            source: source.as_ref(),
            epoch,
            commits: &mut commits,
            stop,
            on_commit,
            pulse: Pulse::new(),
            swap: None,
            trial: None,
            shadow: Seat::default(),
        };
        let outcome = coordinator.run();
        stop.ends();
        let running_ms = coordinator.pulse.running_ms();
        drop(coordinator);
        if let Some(source) = &source {
            source.wake();
        }
        for thread in threads {
            // A worker's panic is caught and reported inside its thread.
            let _ = thread.join();
        }
        drop((control, watcher));
        if let Some(source) = source {
            part(source);
        }
        outcome?;
        let summary = Summary {
            account: commits.account.clone(),
            backfilled,
            windows_out: commits.windows_out,
            commits: commits.commits,
            running_ms,
            start_ms,
            ..Summary::of_nothing(spec)
        };
        commits.close()?;
        Ok(summary)
    }
}
