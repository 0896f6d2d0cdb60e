//! Stored positions against what the brokers have now. A pure comparison: it asks
//! nobody, and whether a problem ends the run is the host's decision.

use thiserror::Error;

use crate::facts::{PartitionFacts, TopicFacts};

/// A partition's position as a checkpoint stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredPosition {
    pub partition: i32,
    pub next_offset: i64,
}

/// How the topic differs from what the checkpoint expects.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    #[error(
        "the topic {topic} is not the one that the job has read so far: its id was {stored} and is {now}, so it \
         was deleted and made again; use a new checkpoint and output for it, or read the new topic from its \
         beginning by --on-data-loss skip"
    )]
    TopicReplaced { topic: String, stored: String, now: String },
    #[error(
        "partition {partition} of the topic {topic} is gone; the job stands at its offset {next_offset}: use a new \
         checkpoint, or go on without it by --on-data-loss skip"
    )]
    PartitionGone { topic: String, partition: i32, next_offset: i64 },
    #[error(
        "partition {partition} of the topic {topic} begins at offset {log_start}, and the job stands at offset \
         {next_offset}: what lay between, up to {} records, was deleted unread; go on after the gap by \
         --on-data-loss skip, and lengthen the topic's retention", log_start - next_offset
    )]
    LogStartBeyond { topic: String, partition: i32, next_offset: i64, log_start: i64 },
    #[error(
        "partition {partition} of the topic {topic} ends at offset {end}, and the job stands at offset \
         {next_offset}: records that were read are no longer there; go on from the end by --on-data-loss skip, or \
         use a new checkpoint"
    )]
    EndBefore { topic: String, partition: i32, next_offset: i64, end: i64 },
    #[error("partition {partition} of the topic {topic} is new and is read from its beginning")]
    NewPartition { topic: String, partition: i32 },
}

impl Problem {
    /// Whether records are lost; if not, it is only worth a line in the log.
    pub fn is_loss(&self) -> bool {
        !matches!(self, Self::NewPartition { .. })
    }
}

/// Everything that differs, in the order of partitions. A replaced topic is reported
/// alone: its offsets cannot be compared.
pub fn compare_positions(
    stored_id: Option<&str>,
    stored: &[StoredPosition],
    now: &TopicFacts,
) -> Vec<Problem> {
    if let (Some(stored), Some(id)) = (stored_id, now.id.as_deref())
        && stored != id
    {
        let (stored, now_id) = (stored.to_owned(), id.to_owned());
        return vec![Problem::TopicReplaced { topic: now.topic.clone(), stored, now: now_id }];
    }
    let known = |partition| stored.iter().any(|position| position.partition == partition);
    let new = now.partitions.iter().filter(|facts| !known(facts.partition));
    let new = new.map(|facts| Problem::NewPartition { topic: now.topic.clone(), partition: facts.partition });
    stored.iter().filter_map(|position| compare_one(position, now)).chain(new).collect()
}

fn compare_one(stored: &StoredPosition, now: &TopicFacts) -> Option<Problem> {
    let StoredPosition { partition, next_offset } = *stored;
    let topic = || now.topic.clone();
    match now.partitions.iter().find(|facts| facts.partition == partition) {
        None => Some(Problem::PartitionGone { topic: topic(), partition, next_offset }),
        Some(&PartitionFacts { log_start, .. }) if log_start > next_offset => {
            Some(Problem::LogStartBeyond { topic: topic(), partition, next_offset, log_start })
        }
        Some(&PartitionFacts { high_watermark: end, .. }) if end < next_offset => {
            Some(Problem::EndBefore { topic: topic(), partition, next_offset, end })
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(partitions: &[(i64, i64)]) -> TopicFacts {
        let one = |(partition, (log_start, end)): (i32, &(i64, i64))| PartitionFacts {
            partition,
            log_start: *log_start,
            last_stable: *end,
            high_watermark: *end,
            leader_epoch: None,
        };
        let partitions = (0..).zip(partitions).map(one).collect();
        TopicFacts { topic: "ticks".to_owned(), id: Some("new".to_owned()), partitions }
    }

    fn check(id: Option<&str>, stored: &[i64], now: &[(i64, i64)]) -> Vec<Problem> {
        let position =
            |(partition, next_offset): (i32, &i64)| StoredPosition { partition, next_offset: *next_offset };
        let stored: Vec<_> = (0..).zip(stored).map(position).collect();
        compare_positions(id, &stored, &facts(now))
    }

    fn topic() -> String {
        "ticks".to_owned()
    }

    #[test]
    fn positions_inside_the_log_are_no_problem() {
        assert_eq!(check(Some("new"), &[0, 5, 10], &[(0, 10), (5, 10), (0, 10)]), []);
        assert_eq!(check(None, &[3], &[(0, 10)]), []);
    }

    #[test]
    fn a_replaced_topic_is_reported_alone() {
        let problems = check(Some("old"), &[50], &[(0, 10), (0, 0)]);
        let (stored, now) = ("old".to_owned(), "new".to_owned());
        assert_eq!(problems, [Problem::TopicReplaced { topic: topic(), stored, now }]);
    }

    #[test]
    fn every_kind_of_difference_is_told_by_partition() {
        let problems = check(Some("new"), &[2, 11], &[(3, 10), (0, 10), (0, 0)]);
        let expected = [
            Problem::LogStartBeyond { topic: topic(), partition: 0, next_offset: 2, log_start: 3 },
            Problem::EndBefore { topic: topic(), partition: 1, next_offset: 11, end: 10 },
            Problem::NewPartition { topic: topic(), partition: 2 },
        ];
        assert_eq!(problems, expected);
        assert_eq!(problems.iter().map(Problem::is_loss).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn a_partition_that_is_gone_is_a_loss() {
        let expected = Problem::PartitionGone { topic: topic(), partition: 1, next_offset: 7 };
        assert_eq!(check(None, &[1, 7], &[(0, 10)]), [expected]);
    }
}
