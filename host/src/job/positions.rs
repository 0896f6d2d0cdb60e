//! Where each partition begins: from the checkpoint, checked against what the broker
//! still has, or, without one, from where the user says.

use std::collections::BTreeMap;

use anyhow::bail;
use speed_layer_core::commit::{Gap, PartitionProgress};
use speed_layer_core::watermark::PartitionProgress as Clock;
use speed_layer_kafka::{
    Broker, PartitionFacts, Problem, SourceError, StoredPosition, TopicFacts, compare_positions,
};
use tracing::{info, warn};

use super::partitions::Beginning;
use crate::config::{OnDataLoss, SourceSpec, Start};

/// Where to begin, and what is lost on the way.
#[derive(Debug, Default)]
pub struct Beginnings {
    pub partitions: Vec<Beginning>,
    pub gaps: Vec<Gap>,
}

impl Beginnings {
    /// Every partition from the first record that it still has.
    pub fn at_log_start(facts: &TopicFacts) -> Self {
        let begin = |now: &PartitionFacts| beginning(now.partition, now.log_start, Clock::default());
        Self { partitions: facts.partitions.iter().map(begin).collect(), gaps: Vec::new() }
    }
}

/// Without a checkpoint.
///
/// # Errors
/// When the broker does not say which offset a time is at.
pub fn fresh(source: &SourceSpec, broker: &Broker, facts: &TopicFacts) -> anyhow::Result<Beginnings> {
    let mut beginnings = Beginnings::at_log_start(facts);
    let found = match source.start {
        Start::Earliest => return Ok(beginnings),
        Start::Latest => Vec::new(),
        Start::AtMs(ms) => {
            let numbers: Vec<i32> = facts.partitions.iter().map(|now| now.partition).collect();
            broker.offsets_at(&source.topic, &numbers, ms)?
        }
    };
    for (begin, now) in beginnings.partitions.iter_mut().zip(&facts.partitions) {
        let at_time = found.iter().find(|(number, _)| *number == now.partition);
        begin.start_offset = at_time.and_then(|(_, offset)| *offset).unwrap_or(now.last_stable);
    }
    Ok(beginnings)
}

/// From a checkpoint.
///
/// # Errors
/// When records are gone and the job is to stop then.
pub fn resumed(
    source: &SourceSpec,
    stored: &[PartitionProgress],
    facts: &TopicFacts,
) -> anyhow::Result<Beginnings> {
    let stored_id = stored.iter().find_map(|partition| partition.topic_id.as_deref());
    let positions: Vec<StoredPosition> = stored
        .iter()
        .map(|of| StoredPosition { partition: of.partition, next_offset: of.next_offset })
        .collect();
    let problems = compare_positions(stored_id, &positions, facts);
    judge(source, &problems)?;
    let is_replaced = problems.iter().any(|problem| matches!(problem, Problem::TopicReplaced { .. }));
    let mut beginnings = Beginnings::default();
    for now in &facts.partitions {
        let known = stored.iter().find(|of| of.partition == now.partition);
        beginnings.partitions.push(match known {
            Some(known) => begin_known(known, now, is_replaced, &mut beginnings.gaps),
            None => beginning(now.partition, now.log_start, Clock::default()),
        });
    }
    for problem in problems.iter().filter(|problem| matches!(problem, Problem::PartitionGone { .. })) {
        if let Problem::PartitionGone { topic, partition, next_offset } = problem {
            beginnings.gaps.push(gap(topic, *partition, *next_offset, *next_offset, problem.to_string()));
        }
    }
    Ok(beginnings)
}

/// While the job runs: for partitions that are new, that have lost what was to be read
/// next, or that belong to another topic now. The others are not in the result.
///
/// # Errors
/// As `resumed`.
pub fn revised(
    source: &SourceSpec,
    present: &[PartitionProgress],
    facts: &TopicFacts,
    lost: &BTreeMap<i32, SourceError>,
    takes_new: bool,
) -> anyhow::Result<Beginnings> {
    let is_replaced = is_other(present.iter().find_map(|of| of.topic_id.as_deref()), facts);
    let known = |number: i32| present.iter().any(|of| of.partition == number);
    let concerns = |number: i32| {
        if known(number) { is_replaced || lost.contains_key(&number) } else { takes_new }
    };
    let stored: Vec<_> = present.iter().filter(|of| concerns(of.partition)).cloned().collect();
    let now = facts.partitions.iter().filter(|now| concerns(now.partition)).copied().collect();
    let facts = TopicFacts { partitions: now, ..facts.clone() };
    let mut beginnings = resumed(source, &stored, &facts)?;
    if !is_replaced {
        for of in &stored {
            lost.get(&of.partition).map_or(Ok(()), |error| go_back(source, of, error, &mut beginnings))?;
        }
    }
    Ok(beginnings)
}

/// Where a log was cut back and written anew, its end does not tell; the broker does.
fn go_back(
    source: &SourceSpec,
    stored: &PartitionProgress,
    error: &SourceError,
    beginnings: &mut Beginnings,
) -> anyhow::Result<()> {
    let (SourceError::LogTruncated { .. } | SourceError::OffsetOutOfRange { .. }) = error else {
        return Ok(());
    };
    let Some(begin) = beginnings.partitions.iter_mut().find(|begin| begin.partition == stored.partition)
    else {
        return Ok(());
    };
    let is_explained = beginnings.gaps.iter().any(|gap| gap.partition == stored.partition);
    if !is_explained && source.on_data_loss == OnDataLoss::Stop {
        bail!("{error}");
    }
    let SourceError::LogTruncated { cut_to: Some(cut_to), .. } = error else { return Ok(()) };
    warn!("records are lost, going on as asked: {error}");
    begin.start_offset = begin.start_offset.min(*cut_to);
    beginnings.gaps.retain(|gap| gap.partition != stored.partition);
    let reason =
        "the log was cut back to the first of these offsets, and may have been written anew".to_owned();
    beginnings.gaps.push(gap(
        &stored.topic,
        stored.partition,
        begin.start_offset,
        stored.next_offset,
        reason,
    ));
    Ok(())
}

/// Whether the topic is another one than that of this id.
pub fn is_other(id: Option<&str>, facts: &TopicFacts) -> bool {
    matches!((id, facts.id.as_deref()), (Some(id), Some(now)) if id != now)
}

fn judge(source: &SourceSpec, problems: &[Problem]) -> anyhow::Result<()> {
    for problem in problems {
        match (problem.is_loss(), source.on_data_loss) {
            (false, _) => info!("{problem}"),
            (true, OnDataLoss::Skip) => warn!("records are lost, going on as asked: {problem}"),
            (true, OnDataLoss::Stop) => bail!("{problem}"),
        }
    }
    Ok(())
}

fn begin_known(
    stored: &PartitionProgress,
    now: &PartitionFacts,
    is_replaced: bool,
    gaps: &mut Vec<Gap>,
) -> Beginning {
    let next = stored.next_offset;
    let start = if is_replaced {
        now.log_start
    } else {
        next.clamp(now.log_start, now.high_watermark.max(now.log_start))
    };
    if start != next || is_replaced {
        let reason =
            if is_replaced { "the topic was made again" } else { "the log no longer holds these offsets" };
        gaps.push(gap(&stored.topic, stored.partition, next.min(start), next.max(start), reason.to_owned()));
    }
    let clock = Clock {
        max_event_ms: stored.clock.max_event_ms,
        idle: stored.clock.idle,
        last_gave_ms: stored.clock.last_gave_ms,
    };
    let leader_epoch = if start == next && !is_replaced { stored.leader_epoch } else { None };
    Beginning { leader_epoch, ..beginning(stored.partition, start, clock) }
}

fn beginning(partition: i32, start_offset: i64, clock: Clock) -> Beginning {
    Beginning { partition, start_offset, leader_epoch: None, clock }
}

fn gap(topic: &str, partition: i32, from: i64, to: i64, reason: String) -> Gap {
    Gap { topic: topic.to_owned(), partition, from, to, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn source(on_data_loss: OnDataLoss) -> SourceSpec {
        SourceSpec {
            brokers: "b".into(),
            topic: "t".into(),
            start: Start::Earliest,
            on_data_loss,
            wait_for_topic_ms: 0,
            metadata_refresh_ms: 30_000,
            properties: BTreeMap::new(),
        }
    }

    fn stored(partition: i32, next_offset: i64) -> PartitionProgress {
        PartitionProgress {
            topic: "t".into(),
            partition,
            topic_id: Some("one".into()),
            leader_epoch: Some(3),
            next_offset,
            log_start_offset: None,
            stable_offset: None,
            clock: speed_layer_core::commit::PartitionClock { max_event_ms: Some(7), ..Default::default() },
        }
    }

    fn facts(id: &str, logs: &[(i64, i64)]) -> TopicFacts {
        let one = |(partition, &(log_start, end)): (i32, &(i64, i64))| PartitionFacts {
            partition,
            log_start,
            last_stable: end,
            high_watermark: end,
            leader_epoch: None,
        };
        TopicFacts { topic: "t".into(), id: Some(id.into()), partitions: (0..).zip(logs).map(one).collect() }
    }

    fn starts(beginnings: &Beginnings) -> Vec<i64> {
        beginnings.partitions.iter().map(|begin| begin.start_offset).collect()
    }

    #[test]
    fn a_checkpoint_decides_and_a_new_partition_is_read_from_its_beginning() {
        let found =
            resumed(&source(OnDataLoss::Stop), &[stored(0, 5)], &facts("one", &[(0, 9), (0, 4)])).unwrap();
        assert_eq!(starts(&found), [5, 0]);
        assert_eq!(found.partitions[0].clock.max_event_ms, Some(7));
        assert!(found.gaps.is_empty());
    }

    #[test]
    fn lost_records_stop_the_job_or_are_recorded_as_a_gap() {
        let now = facts("one", &[(8, 9), (0, 3)]);
        let before = [stored(0, 5), stored(1, 6)];
        assert!(resumed(&source(OnDataLoss::Stop), &before, &now).is_err());
        let found = resumed(&source(OnDataLoss::Skip), &before, &now).unwrap();
        assert_eq!(starts(&found), [8, 3]);
        let gaps: Vec<_> = found.gaps.iter().map(|gap| (gap.partition, gap.from, gap.to)).collect();
        assert_eq!(gaps, [(0, 5, 8), (1, 3, 6)]);
    }

    #[test]
    fn a_topic_made_again_is_refused_or_read_from_its_beginning() {
        let now = facts("two", &[(0, 90)]);
        assert!(resumed(&source(OnDataLoss::Stop), &[stored(0, 5)], &now).is_err());
        let found = resumed(&source(OnDataLoss::Skip), &[stored(0, 5)], &now).unwrap();
        assert_eq!(starts(&found), [0]);
        assert_eq!(found.partitions[0].leader_epoch, None);
        assert_eq!(found.gaps.len(), 1);
    }

    fn out_of_range() -> SourceError {
        SourceError::OffsetOutOfRange { topic: "t".into(), partition: 0, offset: 5, reason: "why".into() }
    }

    fn cut_back(cut_to: i64) -> SourceError {
        let (topic, reason) = ("t".into(), "why".into());
        SourceError::LogTruncated { topic, partition: 0, offset: 5, cut_to: Some(cut_to), reason }
    }

    /// Partition 0 stands at 5, partition 1 at 4 and has lost nothing; what becomes of them.
    fn revise(
        loss: Option<SourceError>,
        now: &TopicFacts,
        takes_new: bool,
    ) -> (anyhow::Result<Beginnings>, Beginnings) {
        let lost: BTreeMap<_, _> = loss.into_iter().map(|error| (0, error)).collect();
        let before = [stored(0, 5), stored(1, 4)];
        let revised = |policy| revised(&source(policy), &before, now, &lost, takes_new);
        (revised(OnDataLoss::Stop), revised(OnDataLoss::Skip).unwrap())
    }

    fn places(beginnings: &Beginnings) -> Vec<(i32, i64)> {
        beginnings.partitions.iter().map(|begin| (begin.partition, begin.start_offset)).collect()
    }

    #[test]
    fn a_running_job_takes_on_what_is_new_and_leaves_the_rest_alone() {
        let now = facts("one", &[(7, 9), (0, 9), (0, 3)]);
        let (stop, skip) = revise(None, &now, true);
        assert_eq!((places(&stop.unwrap()), places(&skip)), (vec![(2, 0)], vec![(2, 0)]));
        assert!(skip.gaps.is_empty(), "retention may be ahead of what is being read from the queue");
        assert!(revise(None, &now, false).1.partitions.is_empty(), "a bounded run reads those of its start");
    }

    #[test]
    fn a_partition_that_lost_something_ends_the_job_or_begins_behind_the_gap() {
        let gone = TopicFacts {
            partitions: facts("one", &[(0, 9), (0, 9)]).partitions[1..].to_vec(),
            ..facts("one", &[])
        };
        for (case, loss, now, begins, gap) in [
            ("overtaken", out_of_range(), facts("one", &[(8, 9), (0, 9)]), vec![(0, 8)], Some((5, 8))),
            ("shorter", out_of_range(), facts("one", &[(0, 3), (0, 9)]), vec![(0, 3)], Some((3, 5))),
            (
                "shorter, and told so",
                cut_back(2),
                facts("one", &[(0, 3), (0, 9)]),
                vec![(0, 2)],
                Some((2, 5)),
            ),
            ("written anew", cut_back(2), facts("one", &[(0, 9), (0, 9)]), vec![(0, 2)], Some((2, 5))),
            ("gone", out_of_range(), gone, vec![], Some((5, 5))),
        ] {
            let (stop, skip) = revise(Some(loss), &now, true);
            assert!(stop.is_err(), "{case}");
            assert_eq!(places(&skip), begins, "{case}");
            assert_eq!(skip.gaps.first().map(|gap| (gap.from, gap.to)), gap, "{case}");
        }
    }

    #[test]
    fn a_partition_that_was_only_unknown_for_a_moment_is_begun_where_it_stood() {
        let unknown = SourceError::TopicGone { topic: "t".into(), partition: 0, reason: "why".into() };
        let (stop, skip) = revise(Some(unknown), &facts("one", &[(0, 9), (0, 9)]), true);
        assert_eq!((places(&stop.unwrap()), places(&skip)), (vec![(0, 5)], vec![(0, 5)]));
        assert!(skip.gaps.is_empty());
    }

    #[test]
    fn of_another_topic_every_partition_begins_at_its_start() {
        let (stop, skip) = revise(Some(out_of_range()), &facts("two", &[(0, 3), (1, 2), (0, 1)]), true);
        assert!(stop.unwrap_err().to_string().contains("made again"));
        assert_eq!(places(&skip), [(0, 0), (1, 1), (2, 0)]);
        assert_eq!(skip.gaps.len(), 2);
    }
}
