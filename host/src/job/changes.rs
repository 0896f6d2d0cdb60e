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
        Self { source: source.clone(), takes_new, lookout, lost: BTreeMap::new(), seen: None }
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
        let wanted = self.lookout.as_ref().map_or(0, Lookout::asked);
        if !matches!(seen, Seen::Facts { asked, .. } if asked < wanted) {
            self.seen = Some(seen);
        }
    }

    /// Whether the next trigger must not be waited for.
    pub fn is_pressing(&self, partitions: &Partitions) -> bool {
        match &self.seen {
            None => false,
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
            None => return Ok(Revision::default()),
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
