//! Between a source and the topic: each ticker is handed to Kafka as it comes, what became
//! of it is awaited for a bounded time, and everything is counted. Never more is held than
//! comes in that time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::Utc;
use crossbeam_channel::{Receiver, bounded, select, unbounded};
use speed_layer_kafka::{AwaitedProducer, Connection, Settled};
use tracing::{error, info};

use super::ticker::Tick;
use super::{News, Source, Tally};

/// News that may wait; a source that is ahead of it waits.
const NEWS_MAX: usize = 1_024;
/// How long the brokers may take to make a topic that is not there.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(15);
/// A line in the log for so many messages.
const TOLD_EVERY: u64 = 10;

/// Where the messages go and how many there are to be.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    pub topic: &'a str,
    pub count: Option<u64>,
}

/// Takes what `source` tells until there is enough or `stop` says so, then waits for what is
/// on its way.
///
/// # Errors
/// No producer, no topic, no thread, or a broker's answer after which nothing can be written any more.
pub fn run(
    source: Box<dyn Source>,
    connection: &Connection,
    plan: Plan<'_>,
    stop: &Receiver<()>,
) -> anyhow::Result<Tally> {
    let (settle, settled) = unbounded();
    // Nobody listens any more once the last wait is over.
    let producer = AwaitedProducer::new(connection, plan.topic, move |told| drop(settle.send(told)))?;
    producer.wait_for_topic(TOPIC_TIMEOUT)?;
    let (tell, news) = bounded(NEWS_MAX);
    let (hold, quit) = bounded(0);
    source.start(tell, quit).context("a thread for the exchange cannot be started")?;
    let mut desk = Desk { producer, open: BTreeMap::new(), tally: Tally::default() };
    while plan.count.is_none_or(|count| desk.tally.messages < count) {
        select! {
            recv(news) -> told => match told {
                Ok(News::Tick(tick)) => desk.take(tick),
                Ok(other) => desk.tally.count(&other),
                Err(_) => bail!("the threads that ask the exchange have ended; start again"),
            },
            recv(settled) -> told => desk.settle(told?)?,
            recv(stop) -> _ => break,
        }
    }
    drop(hold);
    desk.close(&settled)?;
    Ok(desk.tally)
}

struct Desk {
    producer: AwaitedProducer,
    /// By ticket, which is the number of the message.
    open: BTreeMap<usize, Sent>,
    tally: Tally,
}

/// What is told of a message that was lost.
struct Sent {
    symbol: String,
    event_time_ms: i64,
}

impl Desk {
    fn take(&mut self, tick: Tick) {
        let ticket = usize::try_from(self.tally.messages).unwrap_or(usize::MAX);
        self.tally.messages += 1;
        let value = tick.to_json(Utc::now());
        let sent = Sent { event_time_ms: tick.event_time_ms, symbol: tick.symbol };
        match self.producer.hand_over(sent.symbol.as_bytes(), &value, ticket) {
            Ok(()) => drop(self.open.insert(ticket, sent)),
            Err(problem) => self.lose(&sent, &problem.to_string()),
        }
    }

    fn settle(&mut self, told: Settled) -> anyhow::Result<()> {
        let Some(sent) = self.open.remove(&told.ticket) else { return Ok(()) };
        match told.outcome {
            Ok(()) => self.deliver(&sent),
            Err(reason) => self.lose(&sent, &reason),
        }
        match self.producer.broken() {
            Some(reason) => bail!("Kafka takes nothing more from this process ({reason}); start again"),
            None => Ok(()),
        }
    }

    fn deliver(&mut self, sent: &Sent) {
        self.tally.delivered += 1;
        if self.tally.delivered.is_multiple_of(TOLD_EVERY) {
            let messages = self.tally.delivered;
            info!(messages, symbol = sent.symbol, event_time_ms = sent.event_time_ms, "produced");
        }
    }

    fn lose(&mut self, sent: &Sent, reason: &str) {
        self.tally.lost += 1;
        error!(
            symbol = sent.symbol,
            event_time_ms = sent.event_time_ms,
            lost = self.tally.lost,
            "a message is lost: the broker did not acknowledge it ({reason})"
        );
    }

    /// Waits for what is on its way; what is not told of in time is lost.
    fn close(&mut self, settled: &Receiver<Settled>) -> anyhow::Result<()> {
        let until = Instant::now() + self.producer.patience();
        self.producer.flush();
        while !self.open.is_empty() {
            let Ok(told) = settled.recv_deadline(until) else { break };
            self.settle(told)?;
        }
        for sent in std::mem::take(&mut self.open).into_values() {
            self.lose(&sent, "no answer in time");
        }
        Ok(())
    }
}
