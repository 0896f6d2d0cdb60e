//! What a start does about an outbox: letters that a commit sends to a topic of Kafka's,
//! where no link can be compared with what it should be. In their place stands a marker,
//! written in the same transaction as the letters: it says of which checkpoint the last
//! outbox was that came through. Decides over what was read; asks no broker.

use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, OutputId, PublishEntry};
use super::names::{Digest, Epoch, JobName};

/// One output's letters of a commit, staged and to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    pub output: OutputId,
    /// Where they go.
    pub topic: String,
    /// The file's name in the staging place of its output.
    pub staged: String,
    pub bytes: u64,
    pub rows: u64,
    pub sha256: Digest,
}

impl OutboxEntry {
    /// A staged file as one that goes to a topic.
    pub fn of(file: PublishEntry, topic: &str) -> Self {
        let PublishEntry { output, staged, bytes, rows, sha256, .. } = file;
        Self { output, topic: topic.to_owned(), staged, bytes, rows, sha256 }
    }
}

/// A checkpoint, as the marker names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    pub epoch: Epoch,
    pub checkpoint: Digest,
}

impl Default for Marker {
    /// Before the first checkpoint.
    fn default() -> Self {
        Self { epoch: Epoch::default(), checkpoint: Digest([0; 32]) }
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{\"epoch\":{},\"checkpoint\":\"{}\"}}", self.epoch, self.checkpoint)
    }
}

/// Everything that a start looks at, once no transaction of the job is in doubt any more.
#[derive(Debug, Clone)]
pub struct OutboxFacts<'a> {
    pub job: &'a JobName,
    /// The topic with the marker.
    pub marker_topic: &'a str,
    /// The marker; `None` if there is none, or not even its topic.
    pub marker: Option<Marker>,
    /// The checkpoint that the start goes on from; the default before the first.
    pub newest: Marker,
    /// That checkpoint has an outbox, and does not say that all is published.
    pub is_pending: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxStep {
    /// There is no outbox, or it is in its topics.
    Nothing,
    /// Send the outbox of the newest checkpoint.
    Send,
    /// Write the first marker, naming the newest checkpoint.
    Mark,
}

/// Why a start is refused. Nothing was changed; `value` in each is what the marker would
/// have to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboxRefusal {
    #[error(
        "the letters of epoch {epoch} are to be published, and the topic {topic}, which tells whether they are, holds no \
         marker any more: going on might write them twice. See whether the letters' topics hold letters with the header \
         speed-layer.epoch {epoch}. If so, write the record with the key {job} and the value {value} to {topic} (one \
         partition, compacted); if not, the same with the epoch {before}"
    )]
    NoMarker { job: JobName, topic: String, epoch: Epoch, before: Epoch, value: Marker },
    #[error(
        "the topic {topic} says that letters of epoch {found} are published, but the newest checkpoint is of epoch {newest}: \
         checkpoints are missing or an old copy was restored, and going on would write letters twice. Restore them, or, \
         to go on from there all the same (after a rollback, say), write the record with the key {job} and the value \
         {value} to {topic}"
    )]
    Beyond { job: JobName, topic: String, found: Epoch, newest: Epoch, value: Marker },
    #[error(
        "the topic {topic} says that letters of epoch {epoch} are published, but of another checkpoint of that epoch: \
         another job of this name writes to these topics, or the checkpoints are of another history. Give one of the jobs \
         another name; if this one is right, write the record with the key {job} and the value {value} to {topic}"
    )]
    OtherHistory { job: JobName, topic: String, epoch: Epoch, value: Marker },
}

/// The outbox that a start has to see to.
pub fn pending_outbox(newest: &Manifest) -> &[OutboxEntry] {
    if newest.clean { &[] } else { &newest.outbox }
}

/// Decides what a start does about outboxes.
///
/// # Errors
/// [`OutboxRefusal`] where going on might lose letters, or write them twice.
pub fn outbox_at_start(facts: &OutboxFacts<'_>) -> Result<OutboxStep, OutboxRefusal> {
    let (job, topic, value) = (facts.job.clone(), facts.marker_topic.to_owned(), facts.newest);
    let newest = facts.newest.epoch;
    match facts.marker {
        None if facts.is_pending => {
            Err(OutboxRefusal::NoMarker { job, topic, epoch: newest, before: newest.previous(), value })
        }
        None => Ok(OutboxStep::Mark),
        Some(found) if found.epoch > newest => {
            Err(OutboxRefusal::Beyond { job, topic, found: found.epoch, newest, value })
        }
        Some(found) if found.epoch < newest => {
            Ok(if facts.is_pending { OutboxStep::Send } else { OutboxStep::Nothing })
        }
        Some(found) if found.checkpoint == facts.newest.checkpoint => Ok(OutboxStep::Nothing),
        Some(found) => Err(OutboxRefusal::OtherHistory { job, topic, epoch: found.epoch, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(epoch: u64, digest: u8) -> Marker {
        Marker { epoch: Epoch(epoch), checkpoint: Digest([digest; 32]) }
    }

    fn check(newest: Marker, is_pending: bool, marker: Option<Marker>, expected: Result<OutboxStep, &str>) {
        let job = JobName::new("daily").unwrap();
        let facts = OutboxFacts { job: &job, marker_topic: "daily.commits", marker, newest, is_pending };
        match (outbox_at_start(&facts), expected) {
            (Ok(step), Ok(wanted)) => assert_eq!(step, wanted, "{facts:?}"),
            (Err(refusal), Err(part)) => {
                let text = refusal.to_string();
                let value = newest.to_string();
                assert!(
                    text.contains(part) && text.contains("daily.commits") && text.contains(&value),
                    "{text}"
                );
            }
            (found, wanted) => panic!("{found:?} in place of {wanted:?} for {facts:?}"),
        }
    }

    #[test]
    fn an_outbox_is_sent_when_its_marker_is_older_and_never_on_a_guess() {
        use OutboxStep::{Mark, Nothing, Send};
        let newest = marker(5, 7);
        for is_pending in [true, false] {
            check(newest, is_pending, Some(newest), Ok(Nothing));
            check(newest, is_pending, Some(marker(6, 7)), Err("epoch 6"));
            check(newest, is_pending, Some(marker(5, 8)), Err("another checkpoint"));
        }
        check(newest, true, Some(marker(4, 1)), Ok(Send));
        check(newest, true, Some(Marker::default()), Ok(Send));
        check(newest, true, None, Err("twice"));
        check(newest, false, Some(marker(4, 1)), Ok(Nothing));
        check(newest, false, None, Ok(Mark));
    }

    #[test]
    fn a_job_without_a_checkpoint_begins_the_marker_unless_letters_are_published() {
        let none = Marker::default();
        check(none, false, None, Ok(OutboxStep::Mark));
        check(none, false, Some(none), Ok(OutboxStep::Nothing));
        check(none, false, Some(marker(1, 1)), Err("newest checkpoint is of epoch 0"));
    }
}
