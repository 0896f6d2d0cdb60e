//! The topics that a job keeps for itself: each a compacted log of one partition, read from its beginning to
//! its end. What its records say is the business of whoever reads them.

use anyhow::bail;
use speed_layer_core::records::Records;
use speed_layer_kafka::{Broker, BrokerError, PartitionFacts, TopicFacts};

use crate::config::SourceSpec;
use crate::job::replay::{KafkaTopic, Stretch, read};

/// Such a topic as the brokers have it; `None` where it is not there.
///
/// # Errors
/// It has more than one partition, or the brokers do not say.
pub fn find(broker: &Broker, topic: &str) -> anyhow::Result<Option<PartitionFacts>> {
    match broker.topic_facts(topic) {
        Err(BrokerError::TopicMissing { .. }) => Ok(None),
        facts => only_partition(&facts?).map(Some),
    }
}

/// Its partition.
///
/// # Errors
/// There are several.
pub fn only_partition(facts: &TopicFacts) -> anyhow::Result<PartitionFacts> {
    match facts.partitions.as_slice() {
        [only] => Ok(*only),
        several => bail!(
            "the topic {} has {} partitions and must have one: make it anew",
            facts.topic,
            several.len()
        ),
    }
}

/// Gives all its committed records to `take`, in order. `source` is the job's, over any topic.
///
/// # Errors
/// It cannot be read to its end; that of `take`.
pub fn read_whole(
    source: &SourceSpec,
    job: &str,
    (topic, log): (&str, PartitionFacts),
    take: &mut dyn FnMut(&Records) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stretch = Stretch::new(topic, [(log.partition, log.log_start..log.last_stable)]);
    let source = SourceSpec { topic: topic.to_owned(), ..source.clone() };
    read(&KafkaTopic::of(&source, job, false)?, &stretch, &mut |records| take(records)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_with_several_partitions_is_refused_by_name() {
        let log = |partition| PartitionFacts {
            partition,
            log_start: 3,
            last_stable: 9,
            high_watermark: 9,
            leader_epoch: None,
        };
        let told = |partitions: &[i32]| {
            let partitions = partitions.iter().map(|partition| log(*partition)).collect();
            only_partition(&TopicFacts { topic: "daily.commits".into(), id: None, partitions })
        };
        assert_eq!(told(&[0]).unwrap(), log(0));
        let refused = told(&[0, 1]).unwrap_err().to_string();
        assert!(refused.contains("daily.commits has 2 partitions"), "{refused}");
    }
}
