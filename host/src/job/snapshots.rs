//! Snapshots made on a thread of their own, one at a time, while the commits go on. When
//! one is due, and what it is made of, is the store's to know.

use std::thread::{self, JoinHandle};

use anyhow::Context;
use speed_layer_store::{ChainStore, CommitStore, Committer, SnapshotError, SnapshotMade};
use tracing::{debug, warn};

/// The snapshot in work, if one is.
#[derive(Default)]
pub struct Snapshots {
    thread: Option<JoinHandle<Result<SnapshotMade, SnapshotError>>>,
}

impl Snapshots {
    /// Begins a snapshot if one is due.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn begin_due<S>(&mut self, committer: &mut Committer<S>) -> anyhow::Result<()>
    where
        S: CommitStore<Chain: ChainStore + Send + 'static>,
    {
        if !committer.chain().is_snapshot_due() {
            return Ok(());
        }
        let Some(task) = committer.begin_snapshot() else { return Ok(()) };
        let thread = thread::Builder::new().name("snapshot".to_owned()).spawn(move || task.make());
        self.thread = Some(thread.context("the thread of a snapshot cannot be started")?);
        Ok(())
    }

    /// Takes note of the snapshot if it has ended; waits for that where the chain has
    /// grown too long meanwhile, or if `at_end`.
    ///
    /// # Errors
    /// The disk failed, or the job belongs to another process.
    pub fn settle<S: CommitStore>(
        &mut self,
        committer: &mut Committer<S>,
        at_end: bool,
    ) -> anyhow::Result<()> {
        let waits = at_end || committer.chain().is_too_long();
        let Some(thread) = self.thread.take_if(|thread| waits || thread.is_finished()) else { return Ok(()) };
        let ended = thread.join().ok().context(
            "a snapshot met a fault of the host itself; what is committed stays, please report this as a bug",
        )?;
        if let Ok(made) = &ended {
            debug!(epoch = %made.epoch, "a snapshot was made");
        }
        if let Some(damaged) = committer.snapshot_ended(ended)? {
            warn!(
                "{damaged}: a checkpoint was damaged after it was written, see to the disk; the next commit writes all states down anew"
            );
        }
        Ok(())
    }
}
