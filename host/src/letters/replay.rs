//! Writes records of letters into their topic again, each once: in transactions that hold
//! the records and their entries in the ledger, under a name that one process has at a
//! time. A replay that dies at any moment has written whole transactions, and the next
//! one reads in the ledger which.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use hashbrown::HashSet;
use serde_json::{Value, json};
use speed_layer_kafka::{ANSWER_TIMEOUT, Broker, Connection, Outgoing, Transactions};
use speed_layer_store::kept_letters::KeptLetter;
use tracing::info;

use super::choose::{Choice, Chooser, LeftOut, RecordId};
use super::filter::Filter;
use super::kept::Kept;
use super::ledger;
use crate::config::JobSpec;
use crate::job::now_ms;

/// Says of a record which one it was made of.
pub const REPLAY_OF: &str = "speed-layer.replay-of";

/// Taking the name over waits for a transaction of a process that was killed.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(90);
/// Keys and values of one transaction at most; a larger record is one of its own.
const TRANSACTION_BYTES_MAX: usize = 8 << 20;
/// So many letters that were left out are named.
const NAMED_MAX: usize = 20;

/// A replay as it is asked for.
pub struct Asked<'a> {
    pub spec: &'a JobSpec,
    pub kept: &'a Kept,
    pub filter: &'a Filter,
    /// Records written at most.
    pub limit: u64,
    pub whole_records: bool,
    pub dry_run: bool,
    /// Records of one transaction at most.
    pub per_transaction: usize,
}

/// What became of the letters.
#[derive(Debug, Default)]
pub struct Report {
    job: String,
    topic: String,
    dry_run: bool,
    /// Letters that the filter took.
    letters: u64,
    /// Records that are to be written.
    chosen: u64,
    /// Records that were.
    replayed: u64,
    already_replayed: u64,
    same_record: u64,
    left_out: BTreeMap<LeftOut, u64>,
    /// The first of those that were left out.
    named: Vec<(String, LeftOut)>,
    transactions: u64,
}

/// Carries a replay out.
///
/// # Errors
/// A letter cannot be read, or a transaction does not come about: what was written before
/// is in the ledger, and the next replay goes on there.
pub fn replay(asked: &Asked<'_>) -> anyhow::Result<Report> {
    let spec = asked.spec;
    let connection = Connection::new(&spec.source.brokers, spec.source.properties.clone())?;
    let broker = Broker::new(&connection, ANSWER_TIMEOUT)?;
    let topic = broker.topic_facts(&spec.source.topic)?;
    let mut writer = if asked.dry_run { None } else { Some(take_over(spec, &connection, &broker)?) };
    // Not before the name is taken: who had it before may have written until then.
    let replayed: HashSet<RecordId> = ledger::replayed(&broker, spec)?;
    let partitions = topic.partitions.iter().map(|of| of.partition).collect();
    let mut chooser = Chooser::new(&spec.source.topic, partitions, asked.whole_records, replayed);
    let mut report = Report {
        job: spec.name.clone(),
        topic: spec.source.topic.clone(),
        dry_run: asked.dry_run,
        ..Report::default()
    };
    let mut batch = Batch::default();
    asked.kept.each(&mut |letter| {
        if report.chosen >= asked.limit || !asked.filter.takes(&letter) {
            return Ok(());
        }
        if report.note(&letter, chooser.judge(&letter)) && !asked.dry_run {
            if !batch.has_room(&letter, asked.per_transaction) {
                batch.write(&mut writer, spec, &mut report)?;
            }
            batch.push(letter);
        }
        Ok(())
    })?;
    batch.write(&mut writer, spec, &mut report)?;
    Ok(report)
}

fn take_over(spec: &JobSpec, connection: &Connection, broker: &Broker) -> anyhow::Result<Transactions> {
    ledger::make_ready(broker, &spec.name)?;
    let id = format!("speed-layer-{}-replay", spec.name);
    Ok(Transactions::take_over(connection, &id, TRANSACTION_TIMEOUT)?)
}

/// The letters of the next transaction.
#[derive(Default)]
struct Batch {
    letters: Vec<KeptLetter>,
    bytes: usize,
}

impl Batch {
    fn has_room(&self, letter: &KeptLetter, letters_max: usize) -> bool {
        self.letters.is_empty()
            || self.letters.len() < letters_max && self.bytes + bytes_of(letter) <= TRANSACTION_BYTES_MAX
    }

    fn push(&mut self, letter: KeptLetter) {
        self.bytes += bytes_of(&letter);
        self.letters.push(letter);
    }

    fn write(
        &mut self,
        writer: &mut Option<Transactions>,
        spec: &JobSpec,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (letters, Some(writer)) = (std::mem::take(&mut self.letters), writer) else { return Ok(()) };
        self.bytes = 0;
        if letters.is_empty() {
            return Ok(());
        }
        let (ledger, now_ms) = (ledger::topic_of(&spec.name), now_ms());
        let named: Vec<_> =
            letters.iter().map(|of| (of, ledger::place_of(of), ledger::entry_of(of, now_ms))).collect();
        let headers: Vec<_> = named.iter().map(|(_, place, _)| [(REPLAY_OF, place.as_bytes())]).collect();
        let records = named.iter().zip(&headers).flat_map(|((letter, place, entry), headers)| {
            [again(letter, headers), entered(&ledger, place, entry)]
        });
        writer.write(records).with_context(|| {
            format!(
                "{} records were replayed; the next replay leaves them out and goes on with the others",
                report.replayed
            )
        })?;
        report.replayed += letters.len() as u64;
        report.transactions += 1;
        info!(records = report.replayed, topic = spec.source.topic, "replayed");
        Ok(())
    }
}

fn bytes_of(letter: &KeptLetter) -> usize {
    letter.key.as_ref().map_or(0, Vec::len) + letter.value.as_ref().map_or(0, Vec::len)
}

/// The record itself.
fn again<'a>(letter: &'a KeptLetter, headers: &'a [(&'a str, &'a [u8])]) -> Outgoing<'a> {
    Outgoing {
        topic: &letter.topic,
        partition: Some(letter.partition),
        key: letter.key.as_deref(),
        value: letter.value.as_deref(),
        timestamp_ms: letter.timestamp_ms,
        headers,
    }
}

/// Its entry in the ledger.
fn entered<'a>(ledger: &'a str, place: &'a str, entry: &'a str) -> Outgoing<'a> {
    Outgoing {
        topic: ledger,
        partition: Some(0),
        key: Some(place.as_bytes()),
        value: Some(entry.as_bytes()),
        timestamp_ms: None,
        headers: &[],
    }
}

impl Report {
    /// Whether the letter's record is to be written.
    fn note(&mut self, letter: &KeptLetter, choice: Choice) -> bool {
        self.letters += 1;
        match choice {
            Choice::Replay => self.chosen += 1,
            Choice::AlreadyReplayed => self.already_replayed += 1,
            Choice::SameRecord => self.same_record += 1,
            Choice::LeftOut(why) => {
                *self.left_out.entry(why).or_default() += 1;
                if self.named.len() < NAMED_MAX {
                    self.named.push((ledger::place_of(letter), why));
                }
            }
        }
        choice == Choice::Replay
    }

    pub fn to_json(&self) -> Value {
        let left_out = self.left_out.iter().map(|(why, letters)| {
            let named = self.named.iter().filter(|(_, of)| of == why).map(|(place, _)| place);
            json!({ "reason": why, "letters": letters, "why": why.why(), "first": named.collect::<Vec<_>>() })
        });
        json!({
            "job": self.job,
            "topic": self.topic,
            "ledger": ledger::topic_of(&self.job),
            "dry_run": self.dry_run,
            "letters": self.letters,
            "chosen": self.chosen,
            "replayed": self.replayed,
            "already_replayed": self.already_replayed,
            "same_record": self.same_record,
            "left_out": left_out.collect::<Vec<_>>(),
            "transactions": self.transactions,
        })
    }
}
