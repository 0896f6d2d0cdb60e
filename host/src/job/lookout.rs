//! Looks at the topic while the job runs, on a thread of its own: at intervals, at once
//! when it is asked to, and every second while the brokers are away. It tells what it saw,
//! and the log, once each, that the brokers went away and came back. What a look means
//! for the job is `changes`' business.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use speed_layer_kafka::{Broker, BrokerError, TopicFacts};
use tracing::{info, warn};

use super::{Event, PARTING};
use crate::config::SourceSpec;

/// How often a broken connection is noticed, and brokers that are away are asked again.
const GLANCE: Duration = Duration::from_secs(1);
/// A topic counts as deleted when the brokers have not known it for so long: one that has
/// just started may not know all of its topics yet.
const MISSING_FOR: Duration = Duration::from_secs(3);

/// What a look has shown.
#[derive(Debug)]
pub enum Seen {
    Facts {
        facts: TopicFacts,
        /// How often `look_now` had been called when the look began.
        asked: u64,
    },
    Missing(BrokerError),
    /// No answer; whatever is seen next says that there is one again.
    Away,
}

/// The job's end of it. When this is dropped the thread ends; it is waited for a little,
/// for it may be asking brokers that are away.
#[derive(Debug)]
pub struct Lookout {
    asked: Arc<AtomicU64>,
    orders: Sender<Order>,
    /// Disconnected when the thread is gone.
    end: Receiver<()>,
}

#[derive(Debug)]
enum Order {
    Look,
    End,
}

impl Drop for Lookout {
    fn drop(&mut self) {
        // Whether it is gone or still asks, nothing is left to do.
        let _ = self.orders.send(Order::End);
        let _ = self.end.recv_timeout(PARTING);
    }
}

impl Lookout {
    /// Starts looking; `events` hears of every look that has an answer.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(broker: Broker, source: &SourceSpec, events: Sender<Event>) -> anyhow::Result<Self> {
        let (order, orders) = unbounded();
        let (alive, end) = bounded(0);
        let asked = Arc::new(AtomicU64::new(0));
        let watch = Watch {
            broker,
            topic: source.topic.clone(),
            brokers: source.brokers.clone(),
            refresh: Duration::from_millis(source.metadata_refresh_ms),
            events,
            orders,
            asked: Arc::clone(&asked),
            away_since: None,
            missing_since: None,
        };
        let thread = thread::Builder::new().name("lookout".to_owned());
        thread
            .spawn(move || watch.run(alive))
            .context("the thread that looks at the topic cannot be started")?;
        Ok(Self { asked, orders: order, end })
    }

    /// Has the topic looked at now.
    pub fn look_now(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // A thread that is gone has no job to look for.
        let _ = self.orders.send(Order::Look);
    }

    /// How often `look_now` was called.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

struct Watch {
    broker: Broker,
    topic: String,
    brokers: String,
    refresh: Duration,
    events: Sender<Event>,
    orders: Receiver<Order>,
    asked: Arc<AtomicU64>,
    away_since: Option<DateTime<Utc>>,
    missing_since: Option<Instant>,
}

impl Watch {
    fn run(mut self, alive: Sender<()>) {
        while self.wait() {
            self.look();
        }
        drop(self);
        drop(alive);
    }

    /// Waits until the next look is due; false when the job is over.
    fn wait(&mut self) -> bool {
        let is_troubled = self.away_since.is_some() || self.missing_since.is_some();
        let due = Instant::now() + if is_troubled { GLANCE } else { self.refresh };
        loop {
            let left = due.saturating_duration_since(Instant::now());
            match self.orders.recv_timeout(left.min(GLANCE)) {
                Ok(Order::Look) => return true,
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let broken = self.broker.lost_connection();
            if let Some(reason) = broken.filter(|_| self.away_since.is_none()) {
                self.note_away(&reason);
                return true;
            }
            if Instant::now() >= due {
                return true;
            }
        }
    }

    fn look(&mut self) {
        let asked = self.asked.load(Ordering::SeqCst);
        let seen = match self.broker.topic_facts(&self.topic) {
            Ok(facts) => {
                self.missing_since = None;
                Seen::Facts { facts, asked }
            }
            Err(error @ BrokerError::TopicMissing { .. }) => {
                let since = *self.missing_since.get_or_insert_with(Instant::now);
                if since.elapsed() < MISSING_FOR {
                    return self.note_back();
                }
                Seen::Missing(error)
            }
            Err(error @ (BrokerError::NotAuthorized { .. } | BrokerError::Authentication { .. })) => {
                return self.note_trouble(&format!(
                    "{error}; the job waits, and goes on by itself when they let it in again"
                ));
            }
            Err(error) => return self.note_away(&error.to_string()),
        };
        self.note_back();
        // A coordinator that no longer listens has ended the job.
        let _ = self.events.send(Event::Topic(seen));
    }

    fn note_away(&mut self, reason: &str) {
        let news = format!(
            "the brokers are away ({reason}); the job waits, and goes on by itself when they are back"
        );
        self.note_trouble(&news);
    }

    /// Tells it, unless there is trouble already.
    fn note_trouble(&mut self, news: &str) {
        if self.away_since.is_none() {
            let now = Utc::now();
            self.away_since = Some(now);
            let since = now.to_rfc3339_opts(SecondsFormat::Millis, true);
            warn!(topic = self.topic, brokers = self.brokers, since, "{news}");
            // A coordinator that no longer listens has ended the job.
            let _ = self.events.send(Event::Topic(Seen::Away));
        }
    }

    fn note_back(&mut self) {
        // They answer: what broke before is over, and must not be told later.
        let _ = self.broker.lost_connection();
        if let Some(since) = self.away_since.take() {
            let away_s = (Utc::now() - since).num_seconds();
            info!(topic = self.topic, brokers = self.brokers, away_s, "the brokers are back");
        }
    }
}
