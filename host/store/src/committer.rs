//! Performs commits: writes the files of an epoch to staging, then takes the steps
//! that `speed_layer_core::commit::next_step` names, one after the other. Decides
//! nothing about their order.
//!
//! After any error the process must end and a new start sort it out; a committer
//! that failed once refuses to go on.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use speed_layer_core::commit::{
    Chain, Codec, CommitShape, Digest, Epoch, FORMAT_VERSION, Generation, Kind, Manifest, OutboxEntry,
    Outcome, OutputId, PartName, Progress, PublishEntry, Rivals, Step, Stop, next_step,
};
use speed_layer_core::group::StoredGroups;

use crate::chain::{SnapshotError, SnapshotMade, SnapshotTask, Whole, bytes_of, read_one};
use crate::checkpoint::{CheckpointError, States, encode};
use crate::commit_error::{CommitError, writing};
use crate::container::trailer;
use crate::error::StoreError;
use crate::failpoint::fail_point;
use crate::footer::Footer;
use crate::outbox::{self, LetterSender};
use crate::part::ParquetPart;
use crate::store::CommitStore;

/// What a commit is made of, besides what the committer knows itself.
#[derive(Debug, Clone)]
pub struct PendingCommit {
    pub progress: Progress,
    /// Whether `states` are all of them or only the changed ones; those only where the
    /// committer's [chain](Committer::chain) has a base.
    pub kind: Kind,
    /// What is open, by aggregate.
    pub states: States,
    /// As [`Committer::finish_part`] gave them, all of this epoch.
    pub files: Vec<PublishEntry>,
    /// Files that go to topics, as [`Committer::finish_part`] gave them.
    pub outbox: Vec<OutboxEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub epoch: Epoch,
    pub files: usize,
    pub checkpoint_bytes: u64,
    /// From the seal on.
    pub publish: Duration,
}

/// A Parquet file on its way to an output. Written by one thread at a time, several
/// files at once.
pub struct Part<W: Write + Send> {
    parquet: ParquetPart<W>,
    output: OutputId,
    name: String,
    path: String,
    /// For messages.
    place: String,
}

impl<W: Write + Send> Part<W> {
    /// Appends rows; their schema must be the part's.
    ///
    /// # Errors
    /// [`CommitError::Store`] where the disk failed, naming the file; else
    /// [`CommitError::Parquet`].
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), CommitError> {
        self.parquet.write(rows).map_err(|cause| writing(&self.place, cause))
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.parquet.rows()
    }
}

#[derive(Debug, Clone, Copy)]
struct Sealed {
    epoch: Epoch,
    digest: Digest,
    clean: bool,
}

/// The one who commits for a job, from [`crate::recover()`].
pub struct Committer<S: CommitStore> {
    store: S,
    generation: Generation,
    last: Option<Sealed>,
    chain: Chain,
    sender: Option<LetterSender>,
    next_part: u32,
    tidied: bool,
    ended: bool,
}

impl<S: CommitStore> Committer<S> {
    pub(crate) fn new(
        store: S,
        generation: Generation,
        whole: Option<&Whole>,
        sender: Option<LetterSender>,
    ) -> Self {
        let last = whole.map(|whole| Sealed {
            epoch: whole.checkpoint.manifest.epoch,
            digest: whole.checkpoint.digest,
            clean: whole.checkpoint.manifest.clean,
        });
        let chain = whole.map(|whole| whole.chain.clone()).unwrap_or_default();
        Self { store, generation, last, chain, sender, next_part: 0, tidied: false, ended: false }
    }

    /// The epoch that the next commit seals.
    pub fn epoch(&self) -> Epoch {
        self.last.map_or(Epoch::default(), |last| last.epoch).next()
    }

    pub fn generation(&self) -> Generation {
        self.generation
    }

    pub fn store(&self) -> &S {
        &self.store
    }

    /// Makes ready for an aggregate's files in another directory, and changes nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] for a directory that cannot serve, or where the disk failed.
    pub fn prepare_output(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError> {
        self.store.prepare_output(aggregate, root)
    }

    /// From now on the files of `aggregate` go below `root`. Not while files are staged.
    ///
    /// # Errors
    /// [`StoreError`] where the disk failed.
    pub fn move_output(&mut self, aggregate: &str, root: &Path) -> Result<(), StoreError> {
        self.store.move_output(aggregate, root)
    }

    /// What the next commit builds upon.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Begins a snapshot of the newest epoch, unless there is nothing to gain or one is
    /// in work. It is to be made beside the next commits, and what comes of it given to
    /// [`Committer::snapshot_ended`]; until then nothing is dropped that it may read.
    pub fn begin_snapshot(&mut self) -> Option<SnapshotTask<S::Chain>> {
        let last = self.last?;
        let epoch = self.chain.begin_snapshot()?;
        Some(SnapshotTask {
            store: self.store.chain(),
            job: self.store.job().clone(),
            epoch,
            of: last.digest,
        })
    }

    /// Takes note of a snapshot. One for which the chain turned out to be damaged gives
    /// what is wrong: the next commit then writes all states down anew.
    ///
    /// # Errors
    /// [`CommitError`]: the disk failed, or the job belongs to another process.
    pub fn snapshot_ended(
        &mut self,
        ended: Result<SnapshotMade, SnapshotError>,
    ) -> Result<Option<SnapshotError>, CommitError> {
        match ended {
            Ok(made) => {
                self.chain.snapshot_made(made.epoch, made.bytes);
                Ok(None)
            }
            Err(_) if self.store.newest_generation()? > self.generation => {
                Err(CommitError::fenced(&self.store))
            }
            Err(SnapshotError::Store(cause)) => Err(cause.into()),
            Err(damaged) => {
                self.chain = Chain::default();
                Ok(Some(damaged))
            }
        }
    }

    /// Begins a file of the next commit, to be published in `directory` under the
    /// root of `output` (`symbol=BTCUSDT`, or empty for the root itself).
    ///
    /// # Errors
    /// [`CommitError`], naming the file.
    pub fn begin_part(
        &mut self,
        output: &OutputId,
        directory: &str,
        schema: SchemaRef,
        codec: Codec,
    ) -> Result<Part<S::Part>, CommitError> {
        let name = PartName {
            job: self.store.job().clone(),
            generation: self.generation,
            epoch: self.epoch(),
            number: self.next_part,
            codec,
        };
        let name = name.to_string();
        self.next_part += 1;
        let place = self.store.staged_place(output, &name);
        let file = self.store.stage(output, &name)?;
        let parquet = ParquetPart::new(file, schema, codec).map_err(|cause| writing(&place, cause))?;
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        Ok(Part { parquet, output: output.clone(), name, path, place })
    }

    /// Ends a file; give what comes back to the epoch's [`PendingCommit`].
    ///
    /// # Errors
    /// [`CommitError`], naming the file.
    pub fn finish_part(&mut self, part: Part<S::Part>, footer: &Footer) -> Result<PublishEntry, CommitError> {
        let Part { parquet, output, name, path, place } = part;
        let (file, facts) = parquet.finish(footer).map_err(|cause| writing(&place, cause))?;
        self.store.finish(&output, &name, file)?;
        let (bytes, rows, sha256) = (facts.bytes, facts.rows, facts.sha256);
        Ok(PublishEntry { output, staged: name, path, bytes, rows, sha256 })
    }

    /// Seals and publishes an epoch. When this returns `Ok`, all of it is durable
    /// and visible.
    ///
    /// # Errors
    /// [`CommitError`]: the process must end. Whether the epoch is committed then is
    /// for the next start to find out.
    pub fn commit(&mut self, pending: PendingCommit) -> Result<Committed, CommitError> {
        let PendingCommit { progress, kind, states, files, outbox } = pending;
        let manifest = Manifest { publish: files, outbox, ..self.manifest(progress, kind) };
        self.seal_and_publish(&manifest, &states)
    }

    /// Ends the job in order: one more checkpoint, of the same state, says that all
    /// is published, and the staged names go. The published files are then free to
    /// be moved or deleted. `None` if nothing was ever committed, or nothing since
    /// the last such end.
    ///
    /// # Errors
    /// As [`Committer::commit`].
    pub fn close_clean(mut self) -> Result<Option<Committed>, CommitError> {
        fail_point("end.before_seal");
        let sealed = match self.last {
            Some(last) if !last.clean => Some(self.seal_end(last)?),
            _ => None,
        };
        fail_point("end.after_seal");
        for file in self.store.staged()? {
            // What a later owner left is for the start after it.
            if !file.owner_running && file.name.generation <= self.generation {
                self.store.remove_staged(&file.output, &file.name.to_string())?;
            }
        }
        Ok(sealed)
    }

    /// Nothing is open that was not open before: no states are written again.
    fn seal_end(&mut self, last: Sealed) -> Result<Committed, CommitError> {
        let fenced = |cause| CommitError::unless_fenced(&self.store, self.generation, cause);
        let place = self.store.place();
        let read = read_one(&self.store.chain(), last.epoch).map_err(fenced)?;
        let vanished = || fenced(StoreError::Vanished { epoch: last.epoch, place: place.clone() });
        let unreadable = |cause| CommitError::Unreadable { epoch: last.epoch, place: place.clone(), cause };
        let checkpoint = read.ok_or_else(vanished)?.map_err(unreadable)?;
        let progress = checkpoint.manifest.progress;
        let manifest = Manifest { clean: true, ..self.manifest(progress, Kind::Delta) };
        self.seal_and_publish(&manifest, &[])
    }

    /// Of the next epoch, with nothing to be published.
    fn manifest(&self, progress: Progress, kind: Kind) -> Manifest {
        Manifest {
            format: FORMAT_VERSION,
            job: self.store.job().clone(),
            epoch: self.epoch(),
            generation: self.generation,
            parent: self.last.map(|last| last.digest),
            kind,
            base: self.chain.base().filter(|_| kind == Kind::Delta),
            published_through: self.epoch().previous(),
            clean: false,
            outputs: self.store.outputs(),
            publish: Vec::new(),
            outbox: Vec::new(),
            progress,
        }
    }

    fn seal_and_publish(
        &mut self,
        manifest: &Manifest,
        states: &[(String, StoredGroups)],
    ) -> Result<Committed, CommitError> {
        if self.ended {
            return Err(CommitError::Ended { job: manifest.job.clone() });
        }
        self.ended = true;
        let bytes = encode(manifest, states).map_err(|cause| self.checkpoint_error(cause))?;
        let digest = trailer(&bytes);
        let publish =
            self.take_steps(&Commit { manifest, states_bytes: bytes_of(states), bytes: &bytes, digest })?;
        self.ended = false;
        self.last = Some(Sealed { epoch: manifest.epoch, digest, clean: manifest.clean });
        self.next_part = 0;
        let (epoch, files) = (manifest.epoch, manifest.publish.len());
        Ok(Committed { epoch, files, checkpoint_bytes: bytes.len() as u64, publish })
    }

    /// Gives how long it took from the seal on.
    fn take_steps(&mut self, commit: &Commit<'_>) -> Result<Duration, CommitError> {
        let Manifest { epoch, generation, publish, outbox, .. } = commit.manifest;
        let (files, has_outbox) = (publish.len(), !outbox.is_empty());
        let shape = CommitShape { epoch: *epoch, generation: *generation, files, has_outbox };
        let (mut last, mut sealed) = (None, Instant::now());
        loop {
            match next_step(&shape, last) {
                Ok(Some(step)) => {
                    last = Some((step, self.take(step, commit)?));
                    if step == Step::Seal {
                        sealed = Instant::now();
                    }
                }
                Ok(None) => return Ok(sealed.elapsed()),
                Err(stop) => return Err(self.stop(stop, commit)),
            }
        }
    }

    fn take(&mut self, step: Step, commit: &Commit<'_>) -> Result<Outcome, CommitError> {
        let epoch = commit.manifest.epoch;
        Ok(match step {
            Step::SyncStaged => done(self.store.sync_staged()?),
            Step::LookBeforeSeal | Step::LookAfterSeal => Outcome::Looked(self.look(commit)?),
            Step::Seal => Outcome::Sealed(self.store.seal(epoch, commit.bytes)?),
            Step::Publish(index) => {
                fail_point(if index == 0 { "publish.before_first" } else { "publish.between_files" });
                Outcome::Published(self.store.publish(&commit.manifest.publish[index])?)
            }
            Step::SyncPublished => {
                fail_point("publish.before_dir_sync");
                done(self.store.sync_published()?)
            }
            Step::SendOutbox => {
                done(outbox::send(&self.store, &mut self.sender, commit.manifest, commit.digest)?)
            }
            Step::CleanUp => {
                self.chain.sealed(epoch, commit.manifest.kind, commit.states_bytes);
                done(self.clean_up(epoch)?)
            }
        })
    }

    fn stop(&mut self, stop: Stop, commit: &Commit<'_>) -> CommitError {
        if let Stop::Fenced { remove_seal: true, .. } = stop
            && let Err(cause) = self.store.remove_checkpoint(commit.manifest.epoch)
        {
            return cause.into();
        }
        CommitError::stopped(&self.store, stop, &commit.manifest.publish)
    }

    fn look(&self, commit: &Commit<'_>) -> Result<Rivals, StoreError> {
        let newest_epoch = self.store.epochs()?.into_iter().max().unwrap_or_default();
        let newest_generation = self.store.newest_generation()?;
        let child = commit.manifest.epoch.next();
        let built_on_ours = newest_epoch >= child && self.parent_of(child) == Some(commit.digest);
        Ok(Rivals { newest_epoch, newest_generation, built_on_ours })
    }

    /// What the checkpoint of `epoch` goes on from, if it is there and readable.
    fn parent_of(&self, epoch: Epoch) -> Option<Digest> {
        let read = read_one(&self.store.chain(), epoch).ok()??;
        read.ok()?.manifest.parent
    }

    /// Everything before `epoch` is published and said to be: its staged names and
    /// the checkpoints that are too old to fall back to can go.
    fn clean_up(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        fail_point("publish.after_all");
        for file in self.store.staged()? {
            if file.name.epoch < epoch {
                fail_point("clean_up.staged");
                self.store.remove_staged(&file.output, &file.name.to_string())?;
            }
        }
        let old = self.chain.droppable(&self.store.epochs()?, &self.store.snapshots()?, epoch);
        old.checkpoints.iter().try_for_each(|epoch| {
            fail_point("clean_up.checkpoints");
            self.store.remove_checkpoint(*epoch)
        })?;
        old.snapshots.iter().try_for_each(|epoch| {
            fail_point("clean_up.snapshots");
            self.store.remove_snapshots(*epoch)
        })?;
        if !self.tidied {
            self.store.remove_old_generations()?;
            self.tidied = true;
        }
        Ok(())
    }

    fn checkpoint_error(&self, cause: CheckpointError) -> CommitError {
        CommitError::Checkpoint { job: self.store.job().clone(), cause }
    }
}

/// One commit on its way.
struct Commit<'a> {
    manifest: &'a Manifest,
    states_bytes: u64,
    bytes: &'a [u8],
    digest: Digest,
}

fn done(_: ()) -> Outcome {
    Outcome::Done
}
