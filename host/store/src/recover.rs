//! A start: what is there is looked at, `speed_layer_core::commit::at_start` says
//! what to do, and that is done. A look without owning the job comes first, so that
//! whatever can be refused is refused before anything is written.

use speed_layer_core::commit::{
    CHECKPOINTS_KEPT, Content, Epoch, FoundCheckpoint, Generation, Kind, Manifest, OutputId, PublishEntry,
    PublishOutcome, PublishedFile, Refusal, Resume, StagedFile, StartDecision, StartFacts, Stop, at_start,
};

use crate::chain::{Whole, read_one, read_whole};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::commit_error::CommitError;
use crate::committer::Committer;
use crate::error::StoreError;
use crate::failpoint::fail_point;
use crate::outbox::{self, LetterSender};
use crate::store::CommitStore;

/// A job that is owned and brought back to where it was.
pub struct Recovered<S: CommitStore> {
    pub committer: Committer<S>,
    /// Where to go on from; `None` at the very first start.
    pub checkpoint: Option<Checkpoint>,
    /// Damaged checkpoints that were set aside, having published nothing.
    pub set_aside: Vec<Epoch>,
}

/// Looks, without owning the job and without writing anything, whether a start would
/// be refused, and gives the checkpoint that it would go on from.
///
/// # Errors
/// [`CommitError::Store`] for places that cannot serve or a job that is owned,
/// [`CommitError::Refused`] where going on would lose or double rows.
pub fn peek<S: CommitStore>(store: &S) -> Result<Option<Checkpoint>, CommitError> {
    store.check()?;
    let look = Look::at(store)?;
    match look.decide(store, None)? {
        StartDecision::Fresh { .. } => Ok(None),
        StartDecision::Resume(resume) | StartDecision::FallBack { resume, .. } => {
            Ok(look.into_whole(resume.epoch).map(|whole| whole.checkpoint))
        }
        StartDecision::Fenced => Err(CommitError::fenced(store)),
        StartDecision::Refuse(refusal) => Err(CommitError::refused(store, refusal)),
    }
}

/// Takes the job, publishes what the newest checkpoint says is to be published, and
/// clears what crashed processes left behind.
///
/// # Errors
/// As [`peek`], and [`CommitError::Conflict`] or [`CommitError::Missing`] for a file
/// that cannot be published.
pub fn recover<S: CommitStore>(store: S) -> Result<Recovered<S>, CommitError> {
    recover_with(store, None)
}

/// As [`recover`], for a job of which some letters go to topics.
///
/// # Errors
/// As [`recover`]; and where the sender fails, or going on might lose letters or send them
/// twice.
pub fn recover_with<S: CommitStore>(
    mut store: S,
    mut sender: Option<LetterSender>,
) -> Result<Recovered<S>, CommitError> {
    store.check()?;
    let (generation, look) = claim(&mut store)?;
    fail_point("recover.after_claim");
    let (set_aside, resume) = match look.decide(&store, Some(generation))? {
        StartDecision::Fresh { delete_staged } => return begin(store, generation, sender, &delete_staged),
        StartDecision::Resume(resume) => (Vec::new(), resume),
        StartDecision::FallBack { damaged, resume } => (damaged, resume),
        StartDecision::Fenced => return Err(CommitError::fenced(&store)),
        StartDecision::Refuse(refusal) => return Err(CommitError::refused(&store, refusal)),
    };
    let mut whole = look.into_whole(resume.epoch);
    let outbox_step = outbox::look(&store, &mut sender, whole.as_ref())?;
    // An earlier owner may have stopped, or be stopped still, right after its link:
    // nothing of an epoch is shown before its checkpoint is there for good.
    store.sync_sealed()?;
    set_aside.iter().try_for_each(|epoch| store.set_aside(*epoch))?;
    redo(&mut store, &resume)?;
    outbox::redo(&store, &mut sender, whole.as_ref(), outbox_step)?;
    if let Some(whole) = &mut whole {
        find_older_bases(&store, whole)?;
    }
    let committer = Committer::new(store, generation, whole.as_ref(), sender);
    Ok(Recovered { committer, checkpoint: whole.map(|whole| whole.checkpoint), set_aside })
}

/// A job that has never committed.
fn begin<S: CommitStore>(
    mut store: S,
    generation: Generation,
    mut sender: Option<LetterSender>,
    delete_staged: &[StagedFile],
) -> Result<Recovered<S>, CommitError> {
    let outbox_step = outbox::look(&store, &mut sender, None)?;
    delete(&mut store, delete_staged)?;
    outbox::redo(&store, &mut sender, None, outbox_step)?;
    let committer = Committer::new(store, generation, None, sender);
    Ok(Recovered { committer, checkpoint: None, set_aside: Vec::new() })
}

/// So that what is older than them can be dropped soon.
fn find_older_bases<S: CommitStore>(store: &S, whole: &mut Whole) -> Result<(), StoreError> {
    let Some(base) = whole.chain.base() else { return Ok(()) };
    let mut snapshots = store.snapshots()?;
    snapshots.retain(|epoch| *epoch < base);
    whole.chain.found_older(snapshots);
    let mut older = store.epochs()?;
    older.retain(|epoch| *epoch < base);
    older.sort_unstable_by(|a, b| b.cmp(a));
    for epoch in older.into_iter().take(CHECKPOINTS_KEPT - 1) {
        if let Some(Ok(read)) = read_one(&store.chain(), epoch)?
            && read.manifest.kind == Kind::Full
        {
            whole.chain.found_older([epoch]);
        }
    }
    Ok(())
}

/// Claims a generation above every other, those in checkpoints included, and looks
/// again afterwards: what an earlier owner seals from now on, it seals knowing that
/// it may have lost the job.
fn claim<S: CommitStore>(store: &mut S) -> Result<(Generation, Look), CommitError> {
    let mut above = Generation::default();
    loop {
        let generation = store.own(above)?;
        let look = Look::at(store).map_err(|cause| CommitError::unless_fenced(store, generation, cause))?;
        match look.sealed_generation() {
            Some(sealed) if sealed >= generation => above = sealed,
            _ => return Ok((generation, look)),
        }
    }
}

fn redo<S: CommitStore>(store: &mut S, resume: &Resume) -> Result<(), CommitError> {
    for (index, entry) in resume.redo.iter().enumerate() {
        fail_point("recover.mid_redo");
        match store.publish(entry)? {
            PublishOutcome::Done => {}
            PublishOutcome::Conflict => {
                return Err(unpublishable(store, &resume.redo, Stop::Conflict(index)));
            }
            PublishOutcome::Missing => return Err(unpublishable(store, &resume.redo, Stop::Missing(index))),
        }
    }
    fail_point("recover.before_dir_sync");
    store.sync_published()?;
    delete(store, &resume.delete_staged)?;
    Ok(())
}

fn unpublishable<S: CommitStore>(store: &S, entries: &[PublishEntry], stop: Stop) -> CommitError {
    CommitError::stopped(store, stop, entries)
}

fn delete<S: CommitStore>(store: &mut S, files: &[StagedFile]) -> Result<(), StoreError> {
    files.iter().try_for_each(|file| {
        fail_point("recover.mid_delete");
        store.remove_staged(&file.output, &file.name.to_string())
    })
}

/// What a start finds. Checkpoints are read from the newest down to the first that
/// is in order.
struct Look {
    read: Vec<(Epoch, Result<Whole, CheckpointError>)>,
    unread: Vec<Epoch>,
    published: Vec<PublishedFile>,
    staged: Vec<StagedFile>,
}

impl Look {
    /// Staged files come first: what an owner that is gone by then has sealed is among
    /// the checkpoints found after it, so that no file of a sealed epoch is taken for
    /// a leftover.
    fn at<S: CommitStore>(store: &S) -> Result<Self, StoreError> {
        let staged = store.staged()?;
        let mut unread = store.epochs()?;
        unread.sort_unstable();
        let mut read = Vec::new();
        while !read.last().is_some_and(|(_, content): &(_, Result<_, _>)| content.is_ok())
            && let Some(epoch) = unread.pop()
        {
            read.push((epoch, read_whole(&store.chain(), epoch)?));
        }
        let newest = read.iter().find(|(_, content)| content.is_ok()).map(|(epoch, _)| *epoch);
        let published = store.published(newest.unwrap_or_default())?;
        Ok(Self { read, unread, published, staged })
    }

    fn sealed_generation(&self) -> Option<Generation> {
        let valid = self.read.iter().find_map(|(_, content)| content.as_ref().ok())?;
        Some(valid.checkpoint.manifest.generation)
    }

    fn decide<S: CommitStore>(
        &self,
        store: &S,
        claimed: Option<Generation>,
    ) -> Result<StartDecision, StoreError> {
        let read = self
            .read
            .iter()
            .map(|(epoch, content)| found(*epoch, content.as_ref().map(|whole| &whole.checkpoint.manifest)));
        let unread =
            self.unread.iter().map(|epoch| FoundCheckpoint { epoch: *epoch, content: Content::Unread });
        let outputs: Vec<OutputId> = store.outputs().into_iter().map(|root| root.output).collect();
        Ok(at_start(&StartFacts {
            job: store.job(),
            claimed,
            newest_generation: store.newest_generation()?,
            outputs: &outputs,
            checkpoints: &read.chain(unread).collect::<Vec<_>>(),
            published: &self.published,
            staged: &self.staged,
        }))
    }

    fn into_whole(self, epoch: Epoch) -> Option<Whole> {
        self.read.into_iter().find(|(found, _)| *found == epoch)?.1.ok()
    }
}

pub(crate) fn found<'a>(
    epoch: Epoch,
    content: Result<&'a Manifest, &CheckpointError>,
) -> FoundCheckpoint<'a> {
    let content = match content {
        Ok(manifest) => Content::Valid(manifest),
        Err(CheckpointError::OtherFormat(version)) => Content::OtherFormat(*version),
        Err(cause) => Content::Damaged(cause.to_string()),
    };
    FoundCheckpoint { epoch, content }
}

impl CommitError {
    fn refused<S: CommitStore>(store: &S, refusal: Refusal) -> Self {
        Self::Refused { job: store.job().clone(), place: store.place(), refusal: Box::new(refusal) }
    }
}
