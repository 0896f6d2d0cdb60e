//! A round for a point in the sending of letters and windows: the job sends its dead letters to a topic and its closed
//! windows to another, dies at that point, perhaps at another of its kind while it is being brought back, and is at last
//! run to its end. Each bad record and each closed window must be in its topic once.

use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use fastrand::Rng;
use serde_json::Value;
use speed_layer_tests::topics::read_headed;

use crate::field::Field;
use crate::points::kill_again;
use crate::program::{Job, kill_at};
use crate::records::{Group, Id, Truth};

/// Of the twenty commits of a run nearly all have a bad record.
const PASSINGS_MAX: u64 = 12;
const LETTER_PARTITIONS: i32 = 2;

/// Plays the round.
///
/// # Errors
/// A rule is broken, or the point does not fire.
pub fn play(field: &mut Field, name: &str, point: &str, rng: &mut Rng) -> Result<()> {
    let (topic, windows) = (format!("{name}-letters"), format!("{name}-windows"));
    for topic in [&topic, &windows] {
        field.broker.create_topic(topic, LETTER_PARTITIONS, &[])?;
    }
    let job = field.job(name)?;
    job.send(name, &topic, &windows)?;
    field.readers.begin(&job.folder)?;
    kill_at_point(field, &job, point, rng)?;
    if rng.bool() {
        field.readers.look()?;
        kill_sending(field, &job, rng)?;
    }
    if rng.bool() {
        field.readers.look()?;
        kill_again(field, &job, rng)?;
    }
    field.readers.look()?;
    job.complete()?;
    let (truth, sent) = (Rc::clone(&field.truth), sent(field, &topic)?);
    field.judge_with(job, &truth, &sent)?;
    check_windows(field, &truth, &windows)?;
    [topic, windows, format!("{name}.commits")]
        .iter()
        .try_for_each(|topic| field.broker.delete_topic(topic))
        .context("the round is over, but")
}

/// Every start settles once, and sends something in most of its commits.
fn kill_at_point(field: &mut Field, job: &Job, point: &str, rng: &mut Rng) -> Result<()> {
    let passing = if point == "outbox.settled" { 1 } else { rng.u64(1..=PASSINGS_MAX) };
    let end = job.run(Some(&kill_at(point, passing)))?;
    ensure!(field.was_killed(&end), "{point} does not fire");
    Ok(())
}

/// Dies once more while it sends what was pending, or later.
fn kill_sending(field: &mut Field, job: &Job, rng: &mut Rng) -> Result<()> {
    let points = ["outbox.settled", "outbox.before_send", "outbox.after_send"];
    let point = points[rng.usize(..points.len())];
    let end = job.run(Some(&kill_at(point, rng.u64(1..=2))))?;
    field.was_killed(&end);
    Ok(())
}

/// The records of the letters in a topic.
fn sent(field: &Field, topic: &str) -> Result<Vec<Id>> {
    let letters = read_headed(field.broker, topic, LETTER_PARTITIONS)?;
    let number = |text: Option<&String>| -> Result<i64> {
        Ok(text.context("a letter has no place among its headers")?.parse()?)
    };
    letters
        .iter()
        .map(|letter| {
            let header = |name: &str| letter.headers.get(name);
            let partition = number(header("speed-layer.partition"))? as i32;
            Ok((partition, number(header("speed-layer.offset"))?))
        })
        .collect()
}

/// The groups of the topic's records, each once, are those whose windows are closed.
fn check_windows(field: &Field, truth: &Truth, topic: &str) -> Result<()> {
    let mut sent = BTreeSet::new();
    for record in read_headed(field.broker, topic, LETTER_PARTITIONS)? {
        let key: Value = serde_json::from_slice(record.key.as_deref().context("a window without a key")?)?;
        let text = |name: &str| key[name].as_str().context("a key without its fields");
        let start = DateTime::parse_from_rfc3339(text("window_start")?)?;
        let group = (text("symbol")?.to_owned(), start.timestamp_millis());
        ensure!(sent.insert(group), "the window {key} is in the topic {topic} twice");
    }
    let closed: BTreeSet<Group> = truth.closed.keys().cloned().collect();
    let differing: Vec<_> = sent.symmetric_difference(&closed).take(5).collect();
    ensure!(differing.is_empty(), "the topic {topic} and the closed windows differ: {differing:?}");
    Ok(())
}
