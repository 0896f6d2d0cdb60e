//! Which records were already written again: a compacted topic of one partition, written
//! in the transactions that write the records, so that the two always agree.

use anyhow::{Context, ensure};
use hashbrown::HashSet;
use serde_json::json;
use speed_layer_core::records::Records;
use speed_layer_kafka::{Broker, PartitionFacts};
use speed_layer_store::kept_letters::KeptLetter;

use super::choose::RecordId;
use super::one_log;
use crate::config::JobSpec;

/// The ledger's topic of a job.
pub fn topic_of(job: &str) -> String {
    format!("{job}.replays")
}

/// How a record is named in the ledger, and in the header of the one written again.
pub fn place_of(letter: &KeptLetter) -> String {
    format!("{}/{}/{}", letter.topic, letter.partition, letter.offset)
}

/// What the ledger says beside the name.
pub fn entry_of(letter: &KeptLetter, now_ms: i64) -> String {
    json!({ "replayed_at_ms": now_ms, "kind": letter.kind, "stage": letter.stage, "epoch": letter.epoch })
        .to_string()
}

/// The ledger as the brokers have it, made where there is none.
///
/// # Errors
/// It may not be made, or is not one.
pub fn make_ready(broker: &Broker, job: &str) -> anyhow::Result<()> {
    let topic = topic_of(job);
    let facts = broker.compacted_topic(&topic).with_context(|| {
        format!(
            "the ledger of what was replayed, the topic {topic}, is not there and cannot be made; make it by hand, with \
             one partition and cleanup.policy=compact"
        )
    })?;
    check(&topic, one_log::only_partition(&facts)?)
}

/// What was lost of a ledger would be written a second time.
fn check(topic: &str, log: PartitionFacts) -> anyhow::Result<()> {
    ensure!(
        log.log_start == 0,
        "the ledger {topic} begins at offset {}: what was replayed before is not known any more, and would be replayed \
         again. Set cleanup.policy=compact on it; to replay all the same, delete it",
        log.log_start
    );
    Ok(())
}

/// The records that are in the ledger now; none where there is no ledger.
///
/// # Errors
/// It cannot be read to its end.
pub fn replayed(broker: &Broker, spec: &JobSpec) -> anyhow::Result<HashSet<RecordId>> {
    let (topic, mut found) = (topic_of(&spec.name), HashSet::new());
    let Some(log) = one_log::find(broker, &topic)? else { return Ok(found) };
    check(&topic, log)?;
    one_log::read_whole(&spec.source, &spec.name, (&topic, log), &mut |records| {
        found.extend(ids(records, &spec.source.topic));
        Ok(())
    })
    .context("the ledger of what was replayed cannot be read")?;
    Ok(found)
}

/// Those of this topic; a tombstone takes nothing back.
fn ids<'a>(records: &'a Records, topic: &'a str) -> impl Iterator<Item = RecordId> + 'a {
    let names = (0..records.len()).filter_map(|row| std::str::from_utf8(records.keys.get(row)?).ok());
    names.filter_map(move |name| id_of(name, topic))
}

fn id_of(name: &str, topic: &str) -> Option<RecordId> {
    let (partition, offset) = name.strip_prefix(topic)?.strip_prefix('/')?.split_once('/')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_records_name_reads_back() {
        let letter =
            KeptLetter { topic: "a.b-c".into(), partition: 3, offset: 1 << 40, ..KeptLetter::default() };
        let name = place_of(&letter);
        assert_eq!(name, "a.b-c/3/1099511627776");
        for (topic, expected) in [("a.b-c", Some((3, 1 << 40))), ("a.b", None), ("b", None)] {
            assert_eq!(id_of(&name, topic), expected, "{topic}");
        }
        for other in ["", "t", "t/", "t/1", "t/1/", "t/x/1", "t/1/2/3", "tt/1/2"] {
            assert_eq!(id_of(other, "t"), None, "{other}");
        }
    }

    #[test]
    fn a_ledger_that_does_not_tell_all_is_refused() {
        let told = |log_start| {
            let (last_stable, high_watermark, leader_epoch) = (9, 9, None);
            check(
                "daily.replays",
                PartitionFacts { partition: 0, log_start, last_stable, high_watermark, leader_epoch },
            )
        };
        assert!(told(0).is_ok());
        let refused = told(4).unwrap_err().to_string();
        assert!(refused.contains("begins at offset 4") && refused.contains("daily.replays"), "{refused}");
    }
}
