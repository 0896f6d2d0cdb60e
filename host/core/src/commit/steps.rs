//! The order of a commit's steps, and when a commit must stop. The store performs
//! a step and says what came of it; the next step follows from that alone.

use super::names::{Epoch, Generation};

/// What a commit consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitShape {
    pub epoch: Epoch,
    pub generation: Generation,
    /// How many staged files the commit publishes.
    pub files: usize,
    /// Whether it has letters for topics.
    pub has_outbox: bool,
}

/// A step of a commit, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the staged files and their names durable.
    SyncStaged,
    /// Look for another owner, while nothing is promised yet.
    LookBeforeSeal,
    /// Write the checkpoint and give it its name: the commit point.
    Seal,
    /// Look for another owner who went on without us.
    LookAfterSeal,
    /// Publish the file of this index in the checkpoint's list.
    Publish(usize),
    /// Make the published names durable.
    SyncPublished,
    /// Send the letters to their topics, and the marker with them.
    SendOutbox,
    /// Remove what no start can need any more.
    CleanUp,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Looked(Rivals),
    Sealed(SealOutcome),
    Published(PublishOutcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealOutcome {
    Created,
    /// A checkpoint of this epoch was there before; it is untouched.
    Exists,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The file is there under its final name with the listed content, from now on
    /// or from before.
    Done,
    /// Another content is there under the final name; it is untouched.
    Conflict,
    /// Neither the final nor the staged name exists.
    Missing,
}

/// What the checkpoint place shows of other owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rivals {
    /// The highest epoch sealed, by whomever.
    pub newest_epoch: Epoch,
    /// The highest generation claimed, by whomever.
    pub newest_generation: Generation,
    /// The checkpoint after ours names ours as its parent.
    pub built_on_ours: bool,
}

/// Why a commit may not go on. The process ends; a start sorts it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Another process owns the job.
    Fenced {
        /// Our checkpoint lies beside the owner's line and must go, lest a start
        /// fall back to it.
        remove_seal: bool,
    },
    /// The file of this index in the publish list exists with another content.
    Conflict(usize),
    /// The file of this index is neither staged nor published.
    Missing(usize),
}

/// The step after `last`; the first one if that is `None`, and `None` after the
/// last.
///
/// # Errors
/// [`Stop`] when what came of the last step forbids going on.
pub fn next_step(commit: &CommitShape, last: Option<(Step, Outcome)>) -> Result<Option<Step>, Stop> {
    let Some((step, outcome)) = last else { return Ok(Some(Step::SyncStaged)) };
    judge(commit, step, outcome)?;
    Ok(match step {
        Step::SyncStaged => Some(Step::LookBeforeSeal),
        Step::LookBeforeSeal => Some(Step::Seal),
        Step::Seal => Some(Step::LookAfterSeal),
        Step::LookAfterSeal => Some(publish_from(commit, 0)),
        Step::Publish(index) => Some(publish_from(commit, index + 1)),
        Step::SyncPublished if commit.has_outbox => Some(Step::SendOutbox),
        Step::SyncPublished | Step::SendOutbox => Some(Step::CleanUp),
        Step::CleanUp => None,
    })
}

fn publish_from(commit: &CommitShape, index: usize) -> Step {
    if index < commit.files { Step::Publish(index) } else { Step::SyncPublished }
}

fn judge(commit: &CommitShape, step: Step, outcome: Outcome) -> Result<(), Stop> {
    match (step, outcome) {
        (Step::LookBeforeSeal, Outcome::Looked(rivals)) => judge_before_seal(commit, rivals),
        (Step::LookAfterSeal, Outcome::Looked(rivals)) => judge_after_seal(commit, rivals),
        (_, Outcome::Sealed(SealOutcome::Exists)) => Err(Stop::Fenced { remove_seal: false }),
        (Step::Publish(index), Outcome::Published(PublishOutcome::Conflict)) => Err(Stop::Conflict(index)),
        (Step::Publish(index), Outcome::Published(PublishOutcome::Missing)) => Err(Stop::Missing(index)),
        _ => Ok(()),
    }
}

fn judge_before_seal(commit: &CommitShape, rivals: Rivals) -> Result<(), Stop> {
    if rivals.newest_epoch >= commit.epoch || rivals.newest_generation > commit.generation {
        return Err(Stop::Fenced { remove_seal: false });
    }
    Ok(())
}

/// A successor who has sealed more either went on from our checkpoint, then it
/// stays, or had never seen it, then it is a stray. One who has only claimed a
/// generation may have read ours or not: it stays, and whoever starts next
/// publishes it.
fn judge_after_seal(commit: &CommitShape, rivals: Rivals) -> Result<(), Stop> {
    if rivals.newest_epoch > commit.epoch {
        return Err(Stop::Fenced { remove_seal: !rivals.built_on_ours });
    }
    if rivals.newest_generation > commit.generation {
        return Err(Stop::Fenced { remove_seal: false });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: CommitShape =
        CommitShape { epoch: Epoch(5), generation: Generation(2), files: 2, has_outbox: false };

    fn saw(epoch: u64, generation: u64, built_on_ours: bool) -> Outcome {
        Outcome::Looked(Rivals {
            newest_epoch: Epoch(epoch),
            newest_generation: Generation(generation),
            built_on_ours,
        })
    }

    fn stopped(remove_seal: bool) -> Result<Option<Step>, Stop> {
        Err(Stop::Fenced { remove_seal })
    }

    #[test]
    fn a_commit_stages_seals_publishes_each_and_cleans_up() {
        let looks = |step, epoch| match step {
            Step::LookBeforeSeal | Step::LookAfterSeal => saw(epoch, 2, false),
            Step::Seal => Outcome::Sealed(SealOutcome::Created),
            Step::Publish(_) => Outcome::Published(PublishOutcome::Done),
            _ => Outcome::Done,
        };
        let (mut taken, mut last) = (Vec::new(), None);
        while let Some(step) = next_step(&OURS, last).unwrap() {
            taken.push(step);
            last = Some((step, looks(step, if step == Step::LookBeforeSeal { 4 } else { 5 })));
        }
        let expected = [
            Step::SyncStaged,
            Step::LookBeforeSeal,
            Step::Seal,
            Step::LookAfterSeal,
            Step::Publish(0),
            Step::Publish(1),
            Step::SyncPublished,
            Step::CleanUp,
        ];
        assert_eq!(taken, expected);
    }

    #[test]
    fn a_commit_without_files_is_still_sealed() {
        let none = CommitShape { files: 0, ..OURS };
        let after_look = next_step(&none, Some((Step::LookAfterSeal, saw(5, 2, false))));
        assert_eq!(after_look, Ok(Some(Step::SyncPublished)));
    }

    #[test]
    fn letters_are_sent_after_the_seal_and_all_files_and_before_anything_is_dropped() {
        let shape = CommitShape { has_outbox: true, ..OURS };
        let after = |step, outcome| next_step(&shape, Some((step, outcome)));
        assert_eq!(after(Step::Seal, Outcome::Sealed(SealOutcome::Created)), Ok(Some(Step::LookAfterSeal)));
        assert_eq!(after(Step::LookAfterSeal, saw(6, 3, true)), stopped(false));
        let published = Outcome::Published(PublishOutcome::Done);
        assert_eq!(after(Step::Publish(1), published), Ok(Some(Step::SyncPublished)));
        assert_eq!(after(Step::SyncPublished, Outcome::Done), Ok(Some(Step::SendOutbox)));
        assert_eq!(after(Step::SendOutbox, Outcome::Done), Ok(Some(Step::CleanUp)));
    }

    #[test]
    fn an_owner_that_lost_the_job_stops() {
        let check = |step, outcome, expected: Result<Option<Step>, Stop>| {
            assert_eq!(next_step(&OURS, Some((step, outcome))), expected, "{step:?} {outcome:?}");
        };
        check(Step::LookBeforeSeal, saw(4, 2, false), Ok(Some(Step::Seal)));
        check(Step::LookBeforeSeal, saw(4, 3, false), stopped(false));
        check(Step::LookBeforeSeal, saw(5, 2, false), stopped(false));
        check(Step::Seal, Outcome::Sealed(SealOutcome::Exists), stopped(false));
        check(Step::LookAfterSeal, saw(5, 3, false), stopped(false));
        check(Step::LookAfterSeal, saw(7, 3, false), stopped(true));
        check(Step::LookAfterSeal, saw(6, 3, true), stopped(false));
    }

    #[test]
    fn a_file_that_cannot_be_published_stops_the_commit() {
        let after =
            |index, outcome| next_step(&OURS, Some((Step::Publish(index), Outcome::Published(outcome))));
        assert_eq!(after(0, PublishOutcome::Done), Ok(Some(Step::Publish(1))));
        assert_eq!(after(1, PublishOutcome::Done), Ok(Some(Step::SyncPublished)));
        assert_eq!(after(1, PublishOutcome::Conflict), Err(Stop::Conflict(1)));
        assert_eq!(after(0, PublishOutcome::Missing), Err(Stop::Missing(0)));
    }
}
