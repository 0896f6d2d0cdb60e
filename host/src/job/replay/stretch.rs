//! Which part of a topic is read again, and whether the brokers still have all of it.

use std::collections::BTreeMap;
use std::ops::Range;

use speed_layer_core::choice::OffsetRanges;
use speed_layer_core::commit::OffsetMark;
use speed_layer_core::group::WindowOffset;
use speed_layer_kafka::{Assignment, PartitionFacts, Position, TopicFacts};

/// Offsets `[lowest, cut)` of the partitions of one topic; none of them is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stretch {
    pub topic: String,
    /// The broker's id of the topic, where it is known.
    pub topic_id: Option<String>,
    pub ranges: OffsetRanges,
}

/// Why a stretch cannot be read again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error(
        "partition {partition} of the topic {topic} begins at offset {log_start}, and the records are wanted from \
         offset {offset} on: retention has taken what lay between, so these rows cannot be made again"
    )]
    Taken { topic: String, partition: i32, offset: i64, log_start: i64 },
    #[error(
        "partition {partition} of the topic {topic} ends at offset {end}, and the records are wanted up to offset \
         {cut}: its log was cut back, or an open transaction holds it"
    )]
    Short { topic: String, partition: i32, cut: i64, end: i64 },
    #[error("partition {partition} of the topic {topic} is gone; its offsets from {offset} on are wanted")]
    Gone { topic: String, partition: i32, offset: i64 },
    #[error(
        "the topic {topic} is not the one that was read: its id was {stored} and is {now}, so it was deleted and made \
         again, and its records are others"
    )]
    Replaced { topic: String, stored: String, now: String },
    #[error(
        "partition {partition} of the topic {topic} gave nothing for {waited_s} s at offset {offset}, and the records \
         are wanted up to offset {cut}; check that its brokers are running"
    )]
    Stalled { topic: String, partition: i32, offset: i64, cut: i64, waited_s: u64 },
}

impl Stretch {
    /// From the lowest offset that contributed to any of these windows up to the cut.
    pub fn of_windows(
        topic: &str,
        windows: impl IntoIterator<Item = WindowOffset>,
        cut: &[OffsetMark],
    ) -> Self {
        let mut lowest: BTreeMap<i32, i64> = BTreeMap::new();
        for WindowOffset { partition, offset, .. } in windows {
            let held = lowest.entry(partition).or_insert(offset);
            *held = offset.min(*held);
        }
        let end = |partition| cut.iter().find(|mark| mark.partition == partition).map(|mark| mark.offset);
        let ranges =
            lowest.into_iter().filter_map(|(partition, from)| Some((partition, from..end(partition)?)));
        Self::new(topic, ranges)
    }

    /// Of these ranges, the empty ones left out.
    pub fn new(topic: &str, ranges: impl IntoIterator<Item = (i32, Range<i64>)>) -> Self {
        let ranges = ranges.into_iter().filter(|(_, range)| !range.is_empty()).collect();
        Self { topic: topic.to_owned(), topic_id: None, ranges }
    }

    /// Whether any offset of `range` is in it.
    pub fn overlaps(&self, partition: i32, range: &Range<i64>) -> bool {
        let own = self.ranges.get(&partition);
        own.is_some_and(|own| own.start.max(range.start) < own.end.min(range.end))
    }

    /// Whether the brokers still have all of it.
    ///
    /// # Errors
    /// [`ReplayError`], of the first partition of which they do not.
    pub fn check(&self, now: &TopicFacts) -> Result<(), ReplayError> {
        if let (Some(stored), Some(id)) = (&self.topic_id, &now.id)
            && stored != id
        {
            let (stored, now) = (stored.clone(), id.clone());
            return Err(ReplayError::Replaced { topic: self.topic.clone(), stored, now });
        }
        self.ranges.iter().try_for_each(|(&partition, range)| {
            let facts = now.partitions.iter().find(|facts| facts.partition == partition);
            self.check_partition(partition, range, facts)
        })
    }

    fn check_partition(
        &self,
        partition: i32,
        range: &Range<i64>,
        now: Option<&PartitionFacts>,
    ) -> Result<(), ReplayError> {
        let (topic, offset, cut) = (self.topic.clone(), range.start, range.end);
        match now {
            None => Err(ReplayError::Gone { topic, partition, offset }),
            Some(now) if now.log_start > offset => {
                Err(ReplayError::Taken { topic, partition, offset, log_start: now.log_start })
            }
            Some(now) if now.last_stable < cut => {
                Err(ReplayError::Short { topic, partition, cut, end: now.last_stable })
            }
            Some(_) => Ok(()),
        }
    }

    /// What is left of it at these positions.
    pub(super) fn rest(&self, positions: &[Position]) -> Self {
        let next = |partition| positions.iter().find(|of| of.partition == partition).map(|of| of.next_offset);
        let rest = self.ranges.iter().map(|(&partition, range)| {
            (partition, range.start.max(next(partition).unwrap_or(range.start))..range.end)
        });
        Self { topic_id: self.topic_id.clone(), ..Self::new(&self.topic, rest) }
    }

    pub(super) fn assignments(&self) -> Vec<Assignment> {
        let assignment = |(&partition, range): (&i32, &Range<i64>)| Assignment {
            partition,
            start_offset: range.start,
            end_offset: Some(range.end),
            leader_epoch: None,
        };
        self.ranges.iter().map(assignment).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(logs: &[(i64, i64)]) -> TopicFacts {
        let one = |(partition, &(log_start, end)): (i32, &(i64, i64))| PartitionFacts {
            partition,
            log_start,
            last_stable: end,
            high_watermark: end + 1,
            leader_epoch: None,
        };
        let partitions = (0..).zip(logs).map(one).collect();
        TopicFacts { topic: "t".into(), id: Some("one".into()), partitions }
    }

    fn mark(partition: i32, offset: i64) -> OffsetMark {
        OffsetMark { topic: "t".into(), partition, offset }
    }

    #[test]
    fn the_stretch_of_windows_begins_at_the_lowest_offset_of_any() {
        let window = |start_us, partition, offset| WindowOffset { start_us, partition, offset };
        let windows = [window(0, 0, 7), window(0, 1, 3), window(5, 0, 4), window(5, 2, 9)];
        let stretch = Stretch::of_windows("t", windows, &[mark(0, 10), mark(1, 3), mark(2, 10), mark(3, 8)]);
        assert_eq!(stretch, Stretch::new("t", [(0, 4..10), (2, 9..10)]));
        assert!(
            stretch.overlaps(0, &(9..20)) && !stretch.overlaps(0, &(10..20)) && !stretch.overlaps(1, &(0..9))
        );
    }

    #[test]
    fn what_the_brokers_have_no_more_is_named() {
        let topic = || "t".to_owned();
        let taken = ReplayError::Taken { topic: topic(), partition: 1, offset: 4, log_start: 5 };
        let short = ReplayError::Short { topic: topic(), partition: 1, cut: 9, end: 8 };
        let gone = ReplayError::Gone { topic: topic(), partition: 1, offset: 4 };
        for (now, expected) in [
            (facts(&[(9, 9), (4, 9)]), Ok(())),
            (facts(&[(0, 9), (5, 9)]), Err(taken)),
            (facts(&[(0, 9), (0, 8)]), Err(short)),
            (facts(&[(0, 9)]), Err(gone)),
        ] {
            assert_eq!(Stretch::new("t", [(1, 4..9)]).check(&now), expected);
        }
        let of = |id: &str| Stretch { topic_id: Some(id.into()), ..Stretch::default() };
        assert_eq!(of("one").check(&facts(&[])), Ok(()));
        assert!(matches!(of("two").check(&facts(&[])), Err(ReplayError::Replaced { .. })));
    }

    #[test]
    fn what_is_left_of_it_begins_where_the_reading_stands() {
        let stretch = Stretch::new("t", [(0, 4..10), (1, 0..5), (2, 1..2)]);
        let at = |partition, next_offset| Position {
            partition,
            next_offset,
            leader_epoch: None,
            at_end: false,
            high_watermark: None,
        };
        assert_eq!(stretch.rest(&[at(0, 6), at(1, 5)]), Stretch::new("t", [(0, 6..10), (2, 1..2)]));
    }
}
