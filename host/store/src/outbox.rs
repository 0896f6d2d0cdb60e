//! Letters that a commit sends to topics: read back from where they were staged, compared
//! with what was sealed, and given to whoever can send. What a start does about them is
//! `speed_layer_core::commit::outbox_at_start`'s to decide; Kafka is the sender's to know.
//!
//! # Contract of a sender
//! - After [`Outbox::settle`] nobody who sent for this job before can send any more, and
//!   what they left in doubt is there as a whole or not at all.
//! - [`Outbox::send`] makes all letters and the marker visible together, or nothing. After
//!   an error it is not known which; the caller ends the process, and a start settles it.

use speed_layer_core::commit::{
    Digest, Epoch, Manifest, Marker, OutboxEntry, OutboxFacts, OutboxStep, OutputId, outbox_at_start,
    pending_outbox,
};

use crate::chain::Whole;
use crate::commit_error::CommitError;
use crate::failpoint::fail_point;
use crate::kept_letters::{KeptLetter, letters_in};
use crate::part::digest_of_bytes;
use crate::store::CommitStore;

/// See the module's contract.
pub trait Outbox: Send {
    /// The topic with the marker, for messages.
    fn marker_topic(&self) -> String;

    /// Settles what is in doubt, and gives the marker; `None` if there is none.
    fn settle(&mut self) -> Result<Option<Marker>, OutboxError>;

    /// Writes a marker alone, making its topic where there is none.
    fn mark(&mut self, marker: &Marker) -> Result<(), OutboxError>;

    /// Sends letters, and the marker with them.
    fn send(&mut self, marker: &Marker, parcels: &[Parcel]) -> Result<(), OutboxError>;
}

/// Whoever sends for a job.
pub type LetterSender = Box<dyn Outbox>;

/// One output's letters of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    pub output: OutputId,
    /// Where they go.
    pub topic: String,
    pub letters: Vec<KeptLetter>,
}

/// Why letters could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What a start has to do about the outbox of the checkpoint that it goes on from. Settles
/// what is in doubt, and changes nothing else.
///
/// # Errors
/// [`CommitError`]: the sender failed, or going on might lose or double letters.
pub(crate) fn look<S: CommitStore>(
    store: &S,
    sender: &mut Option<LetterSender>,
    whole: Option<&Whole>,
) -> Result<OutboxStep, CommitError> {
    let manifest = whole.map(|whole| &whole.checkpoint.manifest);
    let pending = manifest.map(pending_outbox).unwrap_or_default();
    let newest = marker_of(whole);
    let Some(sender) = sender else {
        return pending.first().map_or(Ok(OutboxStep::Nothing), |entry| {
            let (job, epoch) = (store.job().clone(), newest.epoch);
            Err(CommitError::NoSender { job, epoch, topic: entry.topic.clone() })
        });
    };
    let marker = sender.settle().map_err(|cause| failed(store, newest.epoch, cause))?;
    fail_point("outbox.settled");
    let facts = OutboxFacts {
        job: store.job(),
        marker_topic: &sender.marker_topic(),
        marker,
        newest,
        is_pending: !pending.is_empty(),
    };
    outbox_at_start(&facts).map_err(|refusal| CommitError::OutboxRefused {
        job: store.job().clone(),
        place: store.place(),
        refusal: Box::new(refusal),
    })
}

/// Does what [`look`] has said, once the files of the checkpoint are published.
///
/// # Errors
/// [`CommitError`]: the sender failed, or what was staged is not as it was sealed.
pub(crate) fn redo<S: CommitStore>(
    store: &S,
    sender: &mut Option<LetterSender>,
    whole: Option<&Whole>,
    step: OutboxStep,
) -> Result<(), CommitError> {
    let newest = marker_of(whole);
    match (step, sender, whole) {
        (OutboxStep::Send, sender, Some(whole)) => {
            send(store, sender, &whole.checkpoint.manifest, newest.checkpoint)
        }
        (OutboxStep::Mark, Some(sender), _) => {
            sender.mark(&newest).map_err(|cause| failed(store, newest.epoch, cause))
        }
        _ => Ok(()),
    }
}

/// Sends the outbox of a checkpoint, whose digest this is.
///
/// # Errors
/// As [`redo`].
pub(crate) fn send<S: CommitStore>(
    store: &S,
    sender: &mut Option<LetterSender>,
    manifest: &Manifest,
    checkpoint: Digest,
) -> Result<(), CommitError> {
    let epoch = manifest.epoch;
    let Some(sender) = sender else {
        let topic = manifest.outbox.first().map(|entry| entry.topic.clone()).unwrap_or_default();
        return Err(CommitError::NoSender { job: store.job().clone(), epoch, topic });
    };
    let parcels = manifest.outbox.iter().map(|entry| parcel(store, entry)).collect::<Result<Vec<_>, _>>()?;
    fail_point("outbox.before_send");
    sender.send(&Marker { epoch, checkpoint }, &parcels).map_err(|cause| failed(store, epoch, cause))?;
    fail_point("outbox.after_send");
    Ok(())
}

fn marker_of(whole: Option<&Whole>) -> Marker {
    whole.map_or_else(Marker::default, |whole| Marker {
        epoch: whole.checkpoint.manifest.epoch,
        checkpoint: whole.checkpoint.digest,
    })
}

/// What was staged, if it still is what was sealed.
fn parcel<S: CommitStore>(store: &S, entry: &OutboxEntry) -> Result<Parcel, CommitError> {
    let path = store.staged_place(&entry.output, &entry.staged);
    let Some(bytes) = store.read_staged(&entry.output, &entry.staged)? else {
        return Err(CommitError::OutboxLost { path, why: "it is not there".to_owned() });
    };
    if bytes.len() as u64 != entry.bytes || digest_of_bytes(&bytes) != entry.sha256 {
        return Err(CommitError::OutboxLost { path, why: "its bytes are others".to_owned() });
    }
    let letters = letters_in(bytes).map_err(|why| CommitError::OutboxLost { path, why })?;
    Ok(Parcel { output: entry.output.clone(), topic: entry.topic.clone(), letters })
}

fn failed<S: CommitStore>(store: &S, epoch: Epoch, cause: OutboxError) -> CommitError {
    CommitError::Outbox { job: store.job().clone(), epoch, cause }
}
