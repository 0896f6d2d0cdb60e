//! Reads a stretch of a topic to its end, once. The end is known by positions, since
//! compaction and the markers of transactions leave gaps between offsets.

use std::time::{Duration, Instant};

use speed_layer_core::records::Records;
use speed_layer_kafka::source::SourceOptions;
use speed_layer_kafka::{
    ANSWER_TIMEOUT, Assignment, Broker, Connection, Feed, PollLimits, Position, Source, TopicFacts,
};

use super::stretch::{ReplayError, Stretch};
use crate::config::SourceSpec;
use crate::job::feed::RecordFeed;

const LIMITS: PollLimits = PollLimits { rows_max: 8_192, bytes_max: 8 << 20, timeout_ms: 100 };
/// A stretch that gives nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A topic that can be read again: Kafka's, or one in memory in tests.
pub trait RereadTopic {
    type Feed: RecordFeed;

    /// # Errors
    /// No broker answers, or there is no such topic.
    fn facts(&self) -> anyhow::Result<TopicFacts>;

    /// A feed of these partitions, each with an end.
    ///
    /// # Errors
    /// It cannot be made.
    fn feed(&self, assignments: &[Assignment]) -> anyhow::Result<Self::Feed>;
}

/// Reads a topic beside the job that runs over it: assigned partitions of a consumer that
/// joins no group and commits no offset.
pub struct KafkaTopic<'a> {
    connection: Connection,
    broker: Broker,
    job: &'a str,
    topic: &'a str,
    wants_headers: bool,
}

impl<'a> KafkaTopic<'a> {
    /// The topic of a job's source; connects to nothing yet.
    ///
    /// # Errors
    /// Properties that do not make a client.
    pub fn of(source: &'a SourceSpec, job: &'a str, wants_headers: bool) -> anyhow::Result<Self> {
        let connection = Connection::new(&source.brokers, source.properties.clone())?;
        let broker = Broker::new(&connection, ANSWER_TIMEOUT)?;
        Ok(Self { connection, broker, job, topic: &source.topic, wants_headers })
    }

    /// What is asked of the brokers beside its records.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }
}

impl RereadTopic for KafkaTopic<'_> {
    type Feed = Feed;

    fn facts(&self) -> anyhow::Result<TopicFacts> {
        Ok(self.broker.topic_facts(self.topic)?)
    }

    fn feed(&self, assignments: &[Assignment]) -> anyhow::Result<Feed> {
        let options = SourceOptions { workers: 1, wants_headers: self.wants_headers };
        let (_source, feeds) = Source::start(&self.connection, self.job, self.topic, assignments, options)?;
        feeds.into_iter().next().ok_or_else(|| anyhow::anyhow!("the topic {} gave no feed", self.topic))
    }
}

/// Gives every record of the stretch to `take`, in batches of one kind of timestamp; within
/// a partition offsets rise. How many there were.
///
/// # Errors
/// [`ReplayError`] where the brokers have not all of it, at the beginning or any more;
/// another one of the brokers'; that of `take`.
pub fn read<T: RereadTopic>(
    topic: &T,
    stretch: &Stretch,
    take: &mut dyn FnMut(&Records) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    read_steered(topic, stretch, &mut |records, _| if records.is_empty() { Ok(()) } else { take(records) })
}

/// As [`read`], and hands out the feed after each poll, also one that gave nothing: it tells how
/// far each partition is read, and may be told to pause some of them.
///
/// # Errors
/// As [`read`].
pub fn read_steered<T: RereadTopic>(
    topic: &T,
    stretch: &Stretch,
    take: &mut dyn FnMut(&Records, &mut T::Feed) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    stretch.check(&topic.facts()?)?;
    if stretch.ranges.is_empty() {
        return Ok(0);
    }
    let mut feed = topic.feed(&stretch.assignments())?;
    let mut records = Records::default();
    let (mut count, mut heard) = (0, Instant::now());
    while !feed.is_at_end() {
        let outcome = feed.poll(&mut records, &LIMITS)?;
        if let Some(loss) = feed.take_losses().into_iter().next() {
            // Retention may have come by meanwhile: what there is now tells best.
            stretch.rest(&feed.positions()).check(&topic.facts()?)?;
            return Err(loss.into());
        }
        count += outcome.records as u64;
        take(&records, &mut feed)?;
        if outcome.moved {
            heard = Instant::now();
        } else if heard.elapsed() >= PATIENCE {
            return Err(stalled(stretch, &feed.positions()).into());
        }
    }
    Ok(count)
}

fn stalled(stretch: &Stretch, positions: &[Position]) -> ReplayError {
    let rest = stretch.rest(positions);
    let (&partition, range) = rest.ranges.iter().next().unwrap_or((&-1, &(0..0)));
    ReplayError::Stalled {
        topic: stretch.topic.clone(),
        partition,
        offset: range.start,
        cut: range.end,
        waited_s: PATIENCE.as_secs(),
    }
}
