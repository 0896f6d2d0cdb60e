//! Letters that go to a topic: sent after the seal and after every file, once, whatever the
//! process or the brokers do in between. The sender is one in memory that keeps what a
//! broker would: all of a transaction and its marker, or nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use speed_layer_core::commit::{Codec, Epoch, Marker, OutboxEntry, OutputId};
use speed_layer_store::letters::{DeadLetters, dead_letter_schema};
use speed_layer_store::{
    CommitError, CommitStore, Committer, LetterSender, Outbox, OutboxError, Parcel, PendingCommit, recover,
    recover_with,
};

use crate::job::{Place, footer, letter, pending, progress, stage_below, state};
use crate::layer::{Fault, TestLayer};

const TOPIC: &str = "daily-letters";

/// What a sender does when it is asked to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Sends,
    /// Nothing comes through.
    FailsBefore,
    /// All came through, and nobody was told.
    FailsAfter,
}

/// A broker as far as a job's letters go; clones are the same.
#[derive(Clone)]
struct Broker(Arc<Mutex<Log>>);

struct Log {
    marker: Option<Marker>,
    /// By offset of the record, how often it is there.
    letters: BTreeMap<i64, usize>,
    mood: Mood,
    place: Place,
}

impl Broker {
    fn new(place: &Place) -> Self {
        let log = Log { marker: None, letters: BTreeMap::new(), mood: Mood::Sends, place: place.clone() };
        Self(Arc::new(Mutex::new(log)))
    }

    fn sender(&self) -> Option<LetterSender> {
        Some(Box::new(self.clone()))
    }

    fn is(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    fn put(&self, marker: Option<Marker>) {
        self.0.lock().unwrap().marker = marker;
    }

    fn marker(&self) -> Option<Marker> {
        self.0.lock().unwrap().marker
    }

    fn letters(&self) -> BTreeMap<i64, usize> {
        self.0.lock().unwrap().letters.clone()
    }
}

fn failed() -> OutboxError {
    OutboxError("the broker is away".into())
}

impl Outbox for Broker {
    fn marker_topic(&self) -> String {
        "daily.commits".to_owned()
    }

    fn settle(&mut self) -> Result<Option<Marker>, OutboxError> {
        Ok(self.marker())
    }

    fn mark(&mut self, marker: &Marker) -> Result<(), OutboxError> {
        self.put(Some(*marker));
        Ok(())
    }

    fn send(&mut self, marker: &Marker, parcels: &[Parcel]) -> Result<(), OutboxError> {
        let mut log = self.0.lock().unwrap();
        let epoch = marker.epoch.0;
        assert!(log.place.checkpoint(epoch).exists(), "letters of epoch {epoch} are sent before its seal");
        assert!(!log.place.checkpoint(epoch + 1).exists(), "the next epoch is sealed before they are sent");
        let first = (epoch as i64 - 1) * 10;
        assert!(log.place.published().contains(&first), "they are sent before the files of epoch {epoch}");
        if log.mood == Mood::FailsBefore {
            return Err(failed());
        }
        for parcel in parcels {
            assert_eq!((parcel.topic.as_str(), &parcel.output), (TOPIC, &OutputId::DeadLetters));
            for letter in &parcel.letters {
                assert_eq!((letter.epoch, letter.kind.as_str()), (epoch, "malformed-json"));
                *log.letters.entry(letter.offset).or_default() += 1;
            }
        }
        log.marker = Some(*marker);
        if log.mood == Mood::FailsAfter { Err(failed()) } else { Ok(()) }
    }
}

/// Stages a letter about each offset of `from..to`.
fn post<S: CommitStore>(
    committer: &mut Committer<S>,
    from: i64,
    to: i64,
) -> Result<Vec<OutboxEntry>, CommitError> {
    let (mut letters, epoch) = (DeadLetters::default(), committer.epoch().0);
    (from..to).for_each(|offset| letters.push(&letter(offset, epoch)));
    let mut part = committer.begin_part(&OutputId::DeadLetters, "", dead_letter_schema(), Codec::Snappy)?;
    part.write(&letters.take().unwrap())?;
    let footer = footer(committer, from, to);
    Ok(vec![OutboxEntry::of(committer.finish_part(part, &footer)?, TOPIC)])
}

/// Commits the numbers of `from..to`, and a letter about each.
fn commit<S: CommitStore>(committer: &mut Committer<S>, from: i64, to: i64) -> Result<Epoch, CommitError> {
    let outbox = post(committer, from, to)?;
    let files = stage_below(committer, "", from, to);
    let pending = PendingCommit { outbox, ..pending(progress(to), state(to - 1), files) };
    committer.commit(pending).map(|done| done.epoch)
}

/// Three epochs of ten each, going on where the checkpoint says.
fn run<S: CommitStore>(store: S, broker: &Broker) -> Result<(), CommitError> {
    let recovered = recover_with(store, broker.sender())?;
    let stood = recovered.checkpoint.map_or(0, |of| of.manifest.progress.partitions[0].next_offset);
    let mut committer = recovered.committer;
    for from in (stood..30).step_by(10) {
        let outbox = post(&mut committer, from, from + 10)?;
        let files = crate::job::stage(&mut committer, from, from + 10)?;
        let pending = PendingCommit { outbox, ..pending(progress(from + 10), state(from + 9), files) };
        committer.commit(pending)?;
    }
    committer.close_clean().map(drop)
}

fn each_once(offsets: std::ops::Range<i64>) -> BTreeMap<i64, usize> {
    offsets.map(|offset| (offset, 1)).collect()
}

#[test]
fn letters_are_sent_after_the_seal_and_the_files_and_before_the_next_epoch() {
    let place = Place::new();
    let broker = Broker::new(&place);
    run(place.store(), &broker).unwrap();
    assert_eq!(broker.letters(), each_once(0..30));
    assert_eq!(broker.marker().map(|marker| marker.epoch), Some(Epoch(3)));
    run(place.store(), &broker).unwrap();
    assert_eq!(broker.letters(), each_once(0..30));
}

#[test]
fn letters_that_came_through_or_not_are_there_once_after_the_next_start() {
    for mood in [Mood::FailsBefore, Mood::FailsAfter] {
        let place = Place::new();
        let broker = Broker::new(&place);
        let mut committer = recover_with(place.store(), broker.sender()).unwrap().committer;
        commit(&mut committer, 0, 10).unwrap();
        broker.is(mood);
        let error = commit(&mut committer, 10, 20).unwrap_err();
        assert!(matches!(error, CommitError::Outbox { epoch: Epoch(2), .. }), "{error}");
        assert!(error.to_string().contains("the broker is away"), "{error}");
        drop(committer);
        broker.is(Mood::Sends);
        let recovered = recover_with(place.store(), broker.sender()).unwrap();
        assert_eq!(recovered.checkpoint.map(|of| of.manifest.epoch), Some(Epoch(2)));
        assert_eq!(broker.letters(), each_once(0..20), "{mood:?}");
    }
}

#[test]
fn a_stop_at_any_operation_neither_loses_nor_doubles_a_letter() {
    let mut at = 1;
    loop {
        let place = Place::new();
        let broker = Broker::new(&place);
        let layer = TestLayer::with(Fault::StopAt(at));
        let outcome = run(place.store_on(layer.clone()), &broker);
        assert_eq!(outcome.is_err(), layer.stopped(), "{outcome:?}");
        let stopped = layer.stopped();
        run(place.store(), &broker).unwrap_or_else(|cause| panic!("stopped at {at}: {cause}"));
        assert_eq!(broker.letters(), each_once(0..30), "stopped at {at}");
        if !stopped {
            assert!(at > 60, "only {at} operations were tried");
            break;
        }
        at += 1;
    }
}

/// A job that has sealed an epoch whose letters did not come through.
fn pending_job() -> (Place, Broker) {
    let place = Place::new();
    let broker = Broker::new(&place);
    let mut committer = recover_with(place.store(), broker.sender()).unwrap().committer;
    broker.is(Mood::FailsBefore);
    commit(&mut committer, 0, 10).unwrap_err();
    broker.is(Mood::Sends);
    (place, broker)
}

fn check_refused(place: &Place, sender: Option<LetterSender>, told: &str) {
    let before = place.published();
    let error = recover_with(place.store(), sender).map(drop).unwrap_err().to_string();
    assert!(error.contains(told), "{error}");
    assert_eq!(place.published(), before);
}

#[test]
fn a_start_that_might_lose_or_double_letters_is_refused() {
    let (place, broker) = pending_job();
    assert!(matches!(recover(place.store()).map(drop), Err(CommitError::NoSender { .. })));
    let first = broker.marker();
    broker.put(None);
    check_refused(&place, broker.sender(), "holds no marker any more");
    broker.put(first.map(|marker| Marker { epoch: Epoch(7), ..marker }));
    check_refused(&place, broker.sender(), "letters of epoch 7 are published");
    broker.put(first.map(|marker| Marker { epoch: Epoch(1), ..marker }));
    check_refused(&place, broker.sender(), "of another checkpoint of that epoch");
    broker.put(first);
    recover_with(place.store(), broker.sender()).map(drop).unwrap();
    assert_eq!(broker.letters(), each_once(0..10));
}

#[test]
fn letters_that_are_not_as_they_were_sealed_are_not_sent() {
    for damage in [None, Some(&b"other"[..])] {
        let (place, broker) = pending_job();
        let staged = std::fs::read_dir(place.staging()).unwrap().map(|entry| entry.unwrap().path());
        let letters = staged.min().unwrap();
        match damage {
            None => std::fs::remove_file(&letters).unwrap(),
            Some(bytes) => std::fs::write(&letters, bytes).unwrap(),
        }
        let error = recover_with(place.store(), broker.sender()).map(drop).unwrap_err();
        assert!(matches!(error, CommitError::OutboxLost { .. }), "{error}");
        assert_eq!(broker.letters(), BTreeMap::new());
    }
}

#[test]
fn a_job_that_begins_to_send_letters_marks_where_it_stands() {
    let place = Place::new();
    let mut committer = recover(place.store()).unwrap().committer;
    crate::job::commit(&mut committer, 0, 10).unwrap();
    drop(committer);
    let broker = Broker::new(&place);
    let digest = recover_with(place.store(), broker.sender()).unwrap().checkpoint.map(|of| of.digest);
    let marker = digest.map(|checkpoint| Marker { epoch: Epoch(1), checkpoint });
    assert!(marker.is_some() && broker.marker() == marker);
}
