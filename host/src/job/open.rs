//! Everything before the first record: plugins, broker, store and checkpoint are
//! looked at, and what cannot go well is refused before anything is written. Then the
//! job is taken, brought back to where it was, and its workers are made.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, unbounded};
use speed_layer_core::account::Account;
use speed_layer_core::commit::{JobName, OffsetMark};
use speed_layer_core::settings::Difference;
use speed_layer_kafka::source::SourceOptions;
use speed_layer_kafka::{Assignment, Broker, Connection, Feed, Source, TopicFacts};
use speed_layer_plugin::{Runtime, RuntimeOptions};
use speed_layer_store::{Checkpoint, DiskLayer, DiskStore, Layout, PosixStore, Recovered, peek, recover};
use tracing::warn;

use super::budget::Budget;
use super::commit::{AggregateCommit, Commits, clock_bounds};
use super::control::StopHandle;
use super::open_windows::OpenWindows;
use super::partitions::Partitions;
use super::positions::{self, Beginnings};
use super::worker::{Command, Shared, Worker};
use super::{Event, now_ms, stored};
use crate::config::{JobSpec, Trigger};
use crate::plan::Plan;
use crate::stages::{Chain, EpochContext};

/// How long a broker is given to answer.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// A job that is ready to run.
pub struct Opened<'a> {
    pub spec: &'a JobSpec,
    pub workers: Vec<(Worker<Feed>, Sender<Command>)>,
    pub events: Receiver<Event>,
    pub shared: Arc<Shared>,
    pub partitions: Partitions,
    pub epoch: Arc<EpochContext>,
    pub commits: Commits<DiskStore>,
    pub source: Option<Source>,
    pub first_aggregate: String,
}

/// What was found before the job was taken.
struct Found {
    plan: Arc<Plan>,
    connection: Connection,
    broker: Broker,
    facts: TopicFacts,
}

impl<'a> Opened<'a> {
    /// # Errors
    /// Whatever a start is refused for, each a paragraph that says what to do.
    pub fn open(spec: &'a JobSpec, stop: &StopHandle) -> anyhow::Result<Self> {
        let store = store(spec)?;
        let seen = peek(&store)?;
        let connection = Connection::new(&spec.source.brokers, spec.source.properties.clone())?;
        let runtime = runtime(spec)?;
        let plan = Arc::new(Plan::make(&runtime, spec)?);
        if let Some(checkpoint) = &seen {
            stored::check(spec, &plan, checkpoint)?;
        }
        let broker = Broker::new(&connection, BROKER_TIMEOUT)?;
        let patience = Duration::from_millis(spec.source.wait_for_topic_ms);
        let facts = broker.wait_for_topic(&spec.source.topic, patience, &|| !stop.is_asked())?;
        let found = Found { plan, connection, broker, facts };
        found.beginnings(spec, seen.as_ref())?;
        found.take(spec, store, stop)
    }
}

impl Found {
    fn beginnings(&self, spec: &JobSpec, checkpoint: Option<&Checkpoint>) -> anyhow::Result<Beginnings> {
        match checkpoint {
            Some(checkpoint) => {
                positions::resumed(&spec.source, &checkpoint.manifest.progress.partitions, &self.facts)
            }
            None => positions::fresh(&spec.source, &self.broker, &self.facts),
        }
    }

    /// Takes the job and makes its workers. From here on files are written.
    fn take<'a>(self, spec: &'a JobSpec, store: DiskStore, stop: &StopHandle) -> anyhow::Result<Opened<'a>> {
        let Recovered { committer, checkpoint, set_aside } = recover(store)?;
        for epoch in set_aside {
            warn!(%epoch, "a damaged checkpoint that had published nothing was set aside");
        }
        let checkpoint = checkpoint.as_ref();
        let differences = checkpoint.map_or(Ok(Vec::new()), |of| stored::check(spec, &self.plan, of))?;
        let beginnings = self.beginnings(spec, checkpoint)?;
        let began_ms = now_ms();
        let epoch = Arc::new(EpochContext {
            epoch: committer.epoch().0,
            epoch_began_ms: began_ms,
            aggregates: clocks(spec, checkpoint, &differences),
        });
        let run_began_ms = spec.trigger.is_bounded().then_some(began_ms);
        let idle_timeout_ms = spec.clock.idle_timeout_ms.unsigned_abs();
        let partitions = Partitions::new(&self.facts, &beginnings.partitions, idle_timeout_ms, run_began_ms);
        let from = marks(&spec.source.topic, &beginnings);
        let mut gaps = checkpoint.map(|of| of.manifest.progress.gaps.clone()).unwrap_or_default();
        gaps.extend(beginnings.gaps.iter().cloned());
        let commits = Commits {
            topic: spec.source.topic.clone(),
            committer,
            aggregates: self.aggregates(checkpoint, &from)?,
            stages: stored::stage_histories(&self.plan, checkpoint, &from),
            gaps,
            bounds_skew_ms: spec.clock.max_future_skew_ms,
            account: Account::new(spec.aggregates.iter().map(|aggregate| aggregate.name.as_str())),
            windows_out: 0,
            commits: 0,
        };
        let shared = Arc::new(Shared {
            budget: Budget::new(spec.max_records_per_trigger.filter(|_| spec.trigger != Trigger::Once)),
            is_bounded: spec.trigger.is_bounded(),
            may_commit_early: spec.trigger != Trigger::Once,
            records_in: AtomicU64::new(0),
        });
        let (event_sender, events) = unbounded();
        stop.wakes(event_sender.clone());
        let (source, feeds) = self.start_source(spec, &beginnings)?;
        let workers = self.workers(spec, feeds, &shared, &event_sender, &epoch)?;
        let first_aggregate = spec.aggregates[0].name.clone();
        Ok(Opened {
            spec,
            workers,
            events,
            shared,
            partitions,
            epoch,
            commits,
            source: Some(source),
            first_aggregate,
        })
    }

    fn aggregates(
        &self,
        checkpoint: Option<&Checkpoint>,
        from: &[OffsetMark],
    ) -> anyhow::Result<Vec<AggregateCommit>> {
        let commit = |plan| {
            let mut open = OpenWindows::open(plan)?;
            if let Some(checkpoint) = checkpoint {
                stored::restore(&mut open, checkpoint)?;
            }
            Ok(AggregateCommit {
                spec: plan.spec.clone(),
                open,
                state_version: plan.description.state.version,
                plugins: stored::aggregate_history(plan, checkpoint, from),
            })
        };
        self.plan.aggregates.iter().map(commit).collect()
    }

    fn start_source(&self, spec: &JobSpec, beginnings: &Beginnings) -> anyhow::Result<(Source, Vec<Feed>)> {
        let is_bounded = spec.trigger.is_bounded();
        let assignments: Vec<Assignment> = beginnings
            .partitions
            .iter()
            .map(|begin| {
                let now = self.facts.partitions.iter().find(|now| now.partition == begin.partition);
                Assignment {
                    partition: begin.partition,
                    start_offset: begin.start_offset,
                    end_offset: now.filter(|_| is_bounded).map(|now| now.last_stable),
                    leader_epoch: begin.leader_epoch,
                }
            })
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let options = SourceOptions { workers: cores, wants_headers: self.plan.parse.reads.headers };
        Ok(Source::start(&self.connection, &spec.name, &spec.source.topic, &assignments, options)?)
    }

    fn workers(
        &self,
        spec: &JobSpec,
        feeds: Vec<Feed>,
        shared: &Arc<Shared>,
        events: &Sender<Event>,
        epoch: &Arc<EpochContext>,
    ) -> anyhow::Result<Vec<(Worker<Feed>, Sender<Command>)>> {
        let bounds = clock_bounds(&spec.clock)?;
        let make = |(index, feed)| {
            let (sender, commands) = unbounded();
            let worker = Worker {
                index,
                topic: spec.source.topic.clone(),
                feed,
                chain: Chain::open(&self.plan, bounds)?,
                shared: Arc::clone(shared),
                commands,
                events: events.clone(),
                epoch: Arc::clone(epoch),
            };
            Ok((worker, sender))
        };
        feeds.into_iter().enumerate().map(make).collect()
    }
}

fn store(spec: &JobSpec) -> anyhow::Result<DiskStore> {
    let outputs: Vec<_> = spec.aggregates.iter().map(|of| (of.name.clone(), of.output.clone())).collect();
    let layout = Layout::new(JobName::new(&spec.name)?, &spec.checkpoint, &outputs)?;
    Ok(PosixStore::new(DiskLayer, layout))
}

fn runtime(spec: &JobSpec) -> anyhow::Result<Runtime> {
    let cache_dir = spec.plugin_cache.clone().or_else(user_cache);
    Runtime::new(RuntimeOptions { cache_dir, ..RuntimeOptions::default() })
        .context("the plugin runtime cannot be started")
}

/// Where the user's caches are, by the XDG convention; `None`: nothing is cached.
fn user_cache() -> Option<std::path::PathBuf> {
    let from_environment = std::env::var_os("XDG_CACHE_HOME").map(std::path::PathBuf::from);
    let base = from_environment.filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(base.join("speed-layer").join("plugins"))
}

fn clocks(
    spec: &JobSpec,
    checkpoint: Option<&Checkpoint>,
    differences: &[Difference],
) -> Vec<crate::stages::AggregateClock> {
    spec.aggregates.iter().map(|of| stored::clock_of(&of.name, checkpoint, differences)).collect()
}

fn marks(topic: &str, beginnings: &Beginnings) -> Vec<OffsetMark> {
    let mark = |begin: &super::partitions::Beginning| OffsetMark {
        topic: topic.to_owned(),
        partition: begin.partition,
        offset: begin.start_offset,
    };
    beginnings.partitions.iter().map(mark).collect()
}
