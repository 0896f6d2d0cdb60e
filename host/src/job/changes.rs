//! What becomes of the topic while the job runs: partitions that are added, records that
//! are gone before they were read, another topic under the name. It gathers what workers
//! and the lookout tell, and says at a cut what is to be done; it asks nobody and reads
//! nothing itself.

use std::collections::BTreeMap;

use anyhow::bail;
use speed_layer_core::commit::Gap;
use speed_layer_kafka::{Assignment, BrokerError, SourceError, TopicFacts};

use super::lookout::{Lookout, Seen};
use super::partitions::Partitions;
use super::positions;
use crate::config::SourceSpec;

/// What is known and not yet acted upon.
#[derive(Debug)]
pub struct TopicChanges {
    source: SourceSpec,
    /// A run that ends by itself reads the partitions of its start.
    takes_new: bool,
    /// Not there over records in memory.
    lookout: Option<Lookout>,
    lost: BTreeMap<i32, SourceError>,
    seen: Option<Seen>,
    is_away: bool,
    /// Since the last cut.
    was_away: bool,
}

/// What is to be done at a cut.
#[derive(Debug, Default)]
pub struct Revision {
    /// Partitions to be read from these places from now on.
    pub assignments: Vec<Assignment>,
    pub gaps: Vec<Gap>,
    /// Ends the job once what has been read so far is committed.
    pub failure: Option<anyhow::Error>,
}

impl TopicChanges {
    pub fn new(source: &SourceSpec, takes_new: bool, lookout: Option<Lookout>) -> Self {
        Self {
            source: source.clone(),
            takes_new,
            lookout,
            lost: BTreeMap::new(),
            seen: None,
            is_away: false,
            was_away: false,
        }
    }

    /// A partition gives nothing any more. What was seen before does not explain it.
    pub fn note_loss(&mut self, partition: i32, error: SourceError) {
        self.lost.insert(partition, error);
        self.seen = None;
        if let Some(lookout) = &self.lookout {
            lookout.look_now();
        }
    }

    /// The topic was looked at; a look from before a loss is of no use.
    pub fn note_seen(&mut self, seen: Seen) {
        self.is_away = matches!(seen, Seen::Away);
        self.was_away |= self.is_away;
        if self.is_away {
            return;
        }
        let wanted = self.lookout.as_ref().map_or(0, Lookout::asked);
        if !matches!(seen, Seen::Facts { asked, .. } if asked < wanted) {
            self.seen = Some(seen);
        }
    }

    /// Whether the brokers were away at any time since this was asked before: what was silent
    /// then may have much to say.
    pub fn take_away(&mut self) -> bool {
        std::mem::replace(&mut self.was_away, self.is_away)
    }

    /// Whether the next trigger must not be waited for.
    pub fn is_pressing(&self, partitions: &Partitions) -> bool {
        match &self.seen {
            None | Some(Seen::Away) => false,
            Some(Seen::Missing(_)) => true,
            Some(Seen::Facts { facts, .. }) => !self.lost.is_empty() || partitions.is_other_topic(facts),
        }
    }

    /// What follows for the job, whose partitions stand as at this cut. They are changed
    /// accordingly.
    ///
    /// # Errors
    /// Records since the last commit may come from another topic, and must not be committed.
    pub fn at_cut(&mut self, partitions: &mut Partitions) -> anyhow::Result<Revision> {
        let facts = match self.seen.take() {
            None | Some(Seen::Away) => return Ok(Revision::default()),
            Some(Seen::Missing(error)) => return Ok(failed(self.deleted(&error))),
            Some(Seen::Facts { facts, .. }) => facts,
        };
        self.refuse_mixture(partitions, &facts)?;
        let lost = std::mem::take(&mut self.lost);
        match positions::revised(&self.source, &partitions.progress(), &facts, &lost, self.takes_new) {
            Ok(beginnings) => {
                let assignments = partitions.take_on(&facts, &beginnings.partitions);
                Ok(Revision { assignments, gaps: beginnings.gaps, failure: None })
            }
            Err(error) => Ok(failed(error)),
        }
    }

    fn deleted(&self, error: &BrokerError) -> anyhow::Error {
        anyhow::anyhow!(
            "the topic {} was deleted while the job read it; what was read of it is committed ({error})",
            self.source.topic
        )
    }

    /// The client reads on under a topic's name, whichever topic that is. Where the new one
    /// reaches as far as the job stands, nobody can tell which of the two a record is from.
    fn refuse_mixture(&self, partitions: &Partitions, facts: &TopicFacts) -> anyhow::Result<()> {
        if partitions.is_other_topic(facts) && partitions.may_have_read(facts) {
            bail!(
                "the topic {} was deleted and made again while the job read it; what was read since the last \
                 commit may be of either and is not committed. Start again: the start tells what is possible",
                self.source.topic
            );
        }
        Ok(())
    }
}

fn failed(error: anyhow::Error) -> Revision {
    Revision { failure: Some(error), ..Revision::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{OnDataLoss, Start};
    use crate::job::positions::Beginnings;
    use speed_layer_kafka::PartitionFacts;

    fn facts(id: &str, ends: &[i64]) -> TopicFacts {
        let one = |(partition, &end): (i32, &i64)| PartitionFacts {
            partition,
            log_start: 0,
            last_stable: end,
            high_watermark: end,
            leader_epoch: None,
        };
        TopicFacts { topic: "t".into(), id: Some(id.into()), partitions: (0..).zip(ends).map(one).collect() }
    }

    fn changes(on_data_loss: OnDataLoss, takes_new: bool) -> TopicChanges {
        let source = SourceSpec {
            brokers: "b".into(),
            topic: "t".into(),
            start: Start::Earliest,
            on_data_loss,
            wait_for_topic_ms: 0,
            metadata_refresh_ms: 1,
            properties: BTreeMap::new(),
        };
        TopicChanges::new(&source, takes_new, None)
    }

    /// A job that stands at offset 5 of the one partition of a topic that ends there.
    fn at_five(idle_timeout_ms: u64) -> Partitions {
        let now = facts("one", &[5]);
        let mut beginnings = Beginnings::at_log_start(&now);
        beginnings.partitions[0].start_offset = 5;
        beginnings.partitions[0].clock.max_event_ms = Some(1_000);
        Partitions::new(&now, &beginnings.partitions, idle_timeout_ms, None).0
    }

    fn seen(facts: TopicFacts) -> Seen {
        Seen::Facts { facts, asked: 0 }
    }

    #[test]
    fn a_new_partition_waits_for_the_trigger_and_then_holds_the_clock_until_it_has_shown_a_time() {
        for (end, clock_ms) in [(3, None), (0, Some(1_000))] {
            let (mut changes, mut partitions) = (changes(OnDataLoss::Stop, true), at_five(30_000));
            assert_eq!(partitions.clock_ms(), Some(1_000));
            changes.note_seen(seen(facts("one", &[5, end])));
            assert!(!changes.is_pressing(&partitions));
            let revision = changes.at_cut(&mut partitions).unwrap();
            assert_eq!(revision.assignments, [Assignment::open(1, 0)]);
            assert_eq!(partitions.clock_ms(), clock_ms, "its log ends at {end}");
            assert_eq!(partitions.progress().len(), 2, "a checkpoint has it");
            changes.note_seen(seen(facts("one", &[5, end])));
            assert!(changes.at_cut(&mut partitions).unwrap().assignments.is_empty(), "it is new once");
        }
    }

    #[test]
    fn another_topic_is_gone_over_to_only_where_nothing_of_it_can_have_been_read() {
        for (policy, end, is_mixed, fails) in [
            (OnDataLoss::Stop, 3, false, true),
            (OnDataLoss::Skip, 3, false, false),
            (OnDataLoss::Stop, 5, true, true),
            (OnDataLoss::Skip, 9, true, true),
        ] {
            let (mut changes, mut partitions) = (changes(policy, true), at_five(30_000));
            changes.note_seen(seen(facts("two", &[end])));
            assert!(changes.is_pressing(&partitions), "it does not wait for the trigger");
            match changes.at_cut(&mut partitions) {
                Err(_) => assert!(is_mixed && fails, "{end}"),
                Ok(revision) => {
                    assert!(!is_mixed && revision.failure.is_some() == fails, "{end}");
                    let places = if fails { vec![] } else { vec![Assignment::open(0, 0)] };
                    assert_eq!(revision.assignments, places);
                }
            }
        }
    }

    #[test]
    fn an_absence_is_told_of_at_every_cut_until_after_its_end() {
        let mut changes = changes(OnDataLoss::Stop, true);
        assert!(!changes.take_away());
        changes.note_seen(Seen::Away);
        assert_eq!([changes.take_away(), changes.take_away()], [true, true], "they are still away");
        changes.note_seen(seen(facts("one", &[5])));
        assert_eq!([changes.take_away(), changes.take_away()], [true, false]);
        changes.note_seen(Seen::Away);
        changes.note_seen(seen(facts("one", &[5])));
        assert!(changes.take_away(), "also one between two cuts");
    }

    #[test]
    fn what_was_seen_before_a_loss_does_not_explain_it() {
        let (mut changes, mut partitions) = (changes(OnDataLoss::Stop, true), at_five(30_000));
        changes.note_seen(seen(facts("one", &[5])));
        let (topic, reason) = ("t".to_owned(), "why".to_owned());
        changes.note_loss(0, SourceError::OffsetOutOfRange { topic, partition: 0, offset: 5, reason });
        assert!(!changes.is_pressing(&partitions));
        assert!(changes.at_cut(&mut partitions).unwrap().failure.is_none(), "it is not known yet");
        changes.note_seen(seen(facts("one", &[2])));
        assert!(changes.is_pressing(&partitions));
        let failure = changes.at_cut(&mut partitions).unwrap().failure.unwrap().to_string();
        assert!(failure.contains("ends at offset 2") && failure.contains("stands at offset 5"), "{failure}");
    }
}
