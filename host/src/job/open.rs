//! Everything before the first record: plugins, broker, store and checkpoint are
//! looked at, and what cannot go well is refused before anything is written. Then the
//! job is taken, brought back to where it was, and its workers are made.

mod adopt;
mod aggregates;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use crossbeam_channel::{Receiver, Sender, unbounded};
use speed_layer_core::commit::{JobName, MovedOutput, OffsetMark, PartitionProgress, pending_outbox};
use speed_layer_core::settings::Difference;
use speed_layer_kafka::source::SourceOptions;
use speed_layer_kafka::{ANSWER_TIMEOUT, Assignment, Broker, Connection, Feed, Source, TopicFacts};
use speed_layer_plugin::{Compiler, Limits, Runtime, RuntimeOptions};
use speed_layer_store::fail_point;
use speed_layer_store::layer::FileLayer;
use speed_layer_store::posix::CheckpointDir;
use speed_layer_store::{
    Checkpoint, CommitStore, Committer, DiskLayer, DiskStore, Layout, LetterSender, PosixStore, Recovered,
    peek, recover_with,
};
use tracing::warn;

use super::aggregates::Removal;
use super::budget::Budget;
use super::changes::TopicChanges;
use super::commit::{AggregateCommit, Beginning as CommitsBeginning, Commits, Joined, clock_bounds};
use super::control::JobHandle;
use super::drift::Drift;
use super::lookout::Lookout;
use super::memory::{HoldsGroups, Memory};
use super::moved::{self, Moves};
use super::open_windows::OpenWindows;
use super::partitions::Partitions;
use super::positions::{self, Beginnings};
use super::replay::KafkaTopic;
use super::swap::{self, OfKafka, Swapper};
use super::worker::{Command, Shared, Worker};
use super::{Event, now_ms, stored};
use crate::config::{AggregateSpec, JobSpec, SideSinks, Trigger};
use crate::letters::KafkaOutbox;
use crate::plan::{AggregatePlan, Plan};
use crate::stages::{Chain, EpochContext};
use crate::trust;

pub use adopt::{Standpoint, adopt};

/// A job that is ready to run, over feeds of the kind `F` and files of the layer `L`.
pub struct Opened<'a, F, L: FileLayer = DiskLayer> {
    pub spec: &'a JobSpec,
    pub workers: Vec<(Worker<F>, Sender<Command>)>,
    pub events: Receiver<Event>,
    pub shared: Arc<Shared>,
    pub partitions: Partitions,
    pub topic: TopicChanges,
    pub epoch: Arc<EpochContext>,
    pub commits: Commits<PosixStore<L>>,
    /// Not there over records in memory.
    pub source: Option<Source>,
    pub swapper: Arc<Swapper>,
    pub backfilled: Option<Joined>,
}

/// A worker a core, where there are partitions enough.
fn workers_max() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What was found before the job was taken.
struct Found {
    connection: Connection,
    broker: Broker,
    facts: TopicFacts,
}

impl<'a, L: FileLayer + Send + 'static> Opened<'a, Feed, L> {
    /// # Errors
    /// Whatever a start is refused for, each a paragraph that says what to do.
    pub fn open(spec: &'a JobSpec, store: PosixStore<L>, stop: &JobHandle) -> anyhow::Result<Self> {
        let planned = Planned::of(spec, store)?;
        let connection = Connection::new(&spec.source.brokers, spec.source.properties.clone())?;
        let broker = Broker::new(&connection, ANSWER_TIMEOUT)?;
        let patience = Duration::from_millis(spec.source.wait_for_topic_ms);
        let facts = broker.wait_for_topic(&spec.source.topic, patience, &|| !stop.is_asked())?;
        let found = Found { connection, broker, facts };
        let seen = found.beginnings(spec, planned.seen.as_ref().map(stored_partitions))?;
        planned.order(&found.facts, &seen)?;
        let planned = planned.without_dropped(Planned::sender)?;
        let sender = planned.sender()?;
        let taken = planned.take(sender)?;
        let beginnings = found.beginnings(spec, taken.stored_partitions())?;
        let wants_headers = taken.plan.parse.reads.headers;
        let again = || KafkaTopic::of(&spec.source, &spec.name, wants_headers);
        let taken = taken.backfill(&found.facts, &beginnings, again, stop)?;
        let Found { connection, broker, facts } = found;
        taken.assemble(&facts, &beginnings, stop, |assignments, events| {
            fail_point("source.before_seek");
            let options = SourceOptions { workers: workers_max(), wants_headers };
            let (source, feeds) =
                Source::start(&connection, &spec.name, &spec.source.topic, assignments, options)?;
            let lookout = Lookout::start(broker, &spec.source, events)?;
            Ok(Started { source: Some(source), lookout: Some(lookout), feeds })
        })
    }
}

impl Found {
    fn beginnings(&self, spec: &JobSpec, stored: Option<&[PartitionProgress]>) -> anyhow::Result<Beginnings> {
        match stored {
            Some(stored) => positions::resumed(&spec.source, stored, &self.facts),
            None => positions::fresh(&spec.source, &self.broker, &self.facts),
        }
    }
}

/// Where records come from, begun.
pub struct Started<F> {
    /// Not there over records in memory.
    pub source: Option<Source>,
    pub lookout: Option<Lookout>,
    pub feeds: Vec<F>,
}

/// A job that could be started: its plugins fit together, and its checkpoint.
pub struct Planned<'a, L: FileLayer = DiskLayer> {
    spec: &'a JobSpec,
    plan: Arc<Plan>,
    runtime: Runtime,
    store: PosixStore<L>,
    seen: Option<Checkpoint>,
    moves: Moves,
    /// What is dropped before the job is taken.
    removal: Option<Removal<L>>,
}

impl<'a, L: FileLayer> Planned<'a, L> {
    /// Looks at plugins and checkpoint; nothing is written.
    ///
    /// # Errors
    /// They do not fit together, or a start would be refused.
    pub fn of(spec: &'a JobSpec, store: PosixStore<L>) -> anyhow::Result<Self> {
        let removal = Removal::asked(spec, &store)?;
        let configured = removal.as_ref().map_or_else(|| Ok(peek(&store)?), Removal::peek)?;
        let moves = moved::moves(spec, configured.as_ref());
        moved::tell(spec, &moves, configured.as_ref());
        let store = moved::follow(store, &moves)?;
        let seen = match &removal {
            None if !moves.is_empty() => peek(&store)?,
            None => configured,
            // What it has to publish may be for an output that these settings do not have.
            Some(_) => store.check().map(|()| configured)?,
        };
        let runtime = runtime(spec)?;
        let plan = Arc::new(stored::plan(spec, &runtime, &store.checkpoints(), seen.as_ref())?);
        if let Some(checkpoint) = &seen {
            stored::check(spec, &plan, checkpoint)?;
        }
        Ok(Self { spec, plan, runtime, store, seen, moves, removal })
    }

    /// Who sends letters and windows to topics, where some go there or are to go there still.
    ///
    /// # Errors
    /// A topic is not there, or no broker answers.
    fn sender(&self) -> anyhow::Result<Option<LetterSender>> {
        let is_pending = self.seen.as_ref().is_some_and(|of| !pending_outbox(&of.manifest).is_empty());
        let has_topics = self.spec.aggregates.iter().any(|of| !of.topics.is_empty());
        if self.spec.sides == SideSinks::default() && !has_topics && !is_pending {
            return Ok(None);
        }
        Ok(Some(Box::new(KafkaOutbox::of(self.spec)?)))
    }

    /// Takes the job. From here on files are written, and letters sent.
    ///
    /// # Errors
    /// Another owner, or a checkpoint that cannot be gone on from.
    pub fn take(self, sender: Option<LetterSender>) -> anyhow::Result<Taken<'a, L>> {
        let Self { spec, plan, runtime, store, moves, .. } = self;
        let Recovered { committer, checkpoint, set_aside } = recover_with(store, sender)?;
        for epoch in set_aside {
            warn!(%epoch, "a damaged checkpoint that had published nothing was set aside");
        }
        ensure!(
            moves == moved::moves(spec, checkpoint.as_ref()),
            "another process has moved an output of job {} since this one looked; start again",
            spec.name
        );
        let differences = checkpoint.as_ref().map_or(Ok(Vec::new()), |of| stored::check(spec, &plan, of))?;
        stored::keep_plugins(&plan, &committer.store().checkpoints(), checkpoint.as_ref())?;
        if let Some(checkpoint) = &checkpoint {
            let history = swap::history_path(committer.store().layout().checkpoint_dir());
            swap::settle(&history, &checkpoint.manifest.progress)?;
        }
        Ok(Taken { spec, plan, runtime, committer, checkpoint, differences, moves, backfilled: None })
    }
}

/// A job that this process owns, back where it was.
pub struct Taken<'a, L: FileLayer = DiskLayer> {
    spec: &'a JobSpec,
    plan: Arc<Plan>,
    runtime: Runtime,
    committer: Committer<PosixStore<L>>,
    checkpoint: Option<Checkpoint>,
    differences: Vec<Difference>,
    moves: Moves,
    backfilled: Option<Joined>,
}

impl<'a, L: FileLayer> Taken<'a, L> {
    /// Where the checkpoint stands in each partition; `None` without one.
    pub fn stored_partitions(&self) -> Option<&[PartitionProgress]> {
        self.checkpoint.as_ref().map(stored_partitions)
    }

    /// Makes everything that runs; `start` starts the source for the assignments.
    ///
    /// # Errors
    /// A plugin refuses, the checkpoint's windows cannot be read, or the source does not start.
    pub fn assemble<F>(
        self,
        facts: &TopicFacts,
        beginnings: &Beginnings,
        stop: &JobHandle,
        start: impl FnOnce(&[Assignment], Sender<Event>) -> anyhow::Result<Started<F>>,
    ) -> anyhow::Result<Opened<'a, F, L>> {
        let spec = self.spec;
        let began_ms = now_ms();
        let clock =
            |of: &AggregateSpec| stored::clock_of(&of.name, self.checkpoint.as_ref(), &self.differences);
        let epoch = Arc::new(EpochContext {
            epoch: self.committer.epoch().0,
            epoch_began_ms: began_ms,
            aggregates: spec.aggregates.iter().map(clock).collect(),
        });
        let run_began_ms = spec.trigger.is_bounded().then_some(began_ms);
        let idle_timeout_ms = spec.clock.idle_timeout_ms.unsigned_abs();
        let (partitions, assignments) =
            Partitions::new(facts, &beginnings.partitions, idle_timeout_ms, run_began_ms);
        let shared = Arc::new(Shared {
            budget: Budget::new(spec.max_records_per_trigger.filter(|_| spec.trigger != Trigger::Once)),
            is_bounded: spec.trigger.is_bounded(),
            may_commit_early: spec.trigger != Trigger::Once,
            poison: spec.poison,
            memory: Memory::new(spec.memory_max, workers_max()),
            drift: Drift::of(&spec.clock, &beginnings.partitions),
            live: stop.live_of(partitions.to_read()),
        });
        let (event_sender, events) = unbounded();
        stop.wakes(event_sender.clone());
        let Started { source, lookout, feeds } = start(&assignments, event_sender.clone())?;
        let workers = workers(spec, &self.plan, feeds, &shared, &event_sender, &epoch)?;
        let backfilled = self.backfilled.clone();
        let (commits, swapper) = self.commits(beginnings, workers.len(), event_sender)?;
        shared.memory.note_open(commits.held());
        shared.memory.check(commits.held(), "the job is where it was, and nothing was read")?;
        let topic = TopicChanges::new(&spec.source, !spec.trigger.is_bounded(), lookout);
        Ok(Opened {
            spec,
            workers,
            events,
            shared,
            partitions,
            topic,
            epoch,
            commits,
            source,
            swapper: stop.begins(Arc::new(swapper)),
            backfilled,
        })
    }

    fn commits(
        self,
        beginnings: &Beginnings,
        workers: usize,
        events: Sender<Event>,
    ) -> anyhow::Result<(Commits<PosixStore<L>>, Swapper)> {
        let (spec, checkpoint) = (self.spec, self.checkpoint.as_ref());
        let from: Vec<_> = beginnings.partitions.iter().map(|of| of.mark(&spec.source.topic)).collect();
        let mut gaps = checkpoint.map(|of| of.manifest.progress.gaps.clone()).unwrap_or_default();
        let gaps_committed = gaps.len();
        gaps.extend(beginnings.gaps.iter().cloned());
        let moved = |plan: &AggregatePlan| self.moves.get(&plan.spec.name).cloned();
        let aggregates = self
            .plan
            .aggregates
            .iter()
            .map(|plan| aggregate_commit(spec, plan, checkpoint, &from, moved(plan)));
        let commits = Commits::new(CommitsBeginning {
            topic: spec.source.topic.clone(),
            aggregates: aggregates.collect::<anyhow::Result<_>>()?,
            stages: stored::stage_histories(&self.plan, checkpoint, &from),
            gaps,
            gaps_committed,
            clock: spec.clock.clone(),
            sides: spec.sides.clone(),
            committer: self.committer,
        });
        let store = commits.committer.store();
        let swapper = Swapper {
            spec: spec.clone(),
            runtime: self.runtime,
            running: Mutex::new(self.plan),
            gate: swap::Gate::default(),
            layout: Mutex::new(store.layout().clone()),
            workers,
            bounds: clock_bounds(&spec.clock)?,
            events,
            topic: Arc::new(OfKafka { source: spec.source.clone(), job: spec.name.clone() }),
            kept: CheckpointDir::new(
                DiskLayer,
                store.layout().checkpoint_dir(),
                commits.committer.generation(),
            ),
            history: swap::history_path(store.layout().checkpoint_dir()),
        };
        Ok((commits, swapper))
    }
}

fn stored_partitions(checkpoint: &Checkpoint) -> &[PartitionProgress] {
    &checkpoint.manifest.progress.partitions
}

fn aggregate_commit(
    spec: &JobSpec,
    plan: &AggregatePlan,
    checkpoint: Option<&Checkpoint>,
    from: &[OffsetMark],
    moved: Option<MovedOutput>,
) -> anyhow::Result<AggregateCommit> {
    let mut open = OpenWindows::open(plan)?;
    open.isolate(spec.poison);
    if let Some(checkpoint) = checkpoint {
        stored::restore(&mut open, checkpoint)?;
    }
    Ok(AggregateCommit {
        spec: plan.spec.clone(),
        open,
        plugins: stored::aggregate_history(plan, checkpoint, from),
        moved,
        holding: stored::holding(&plan.spec.name, checkpoint),
    })
}

fn workers<F>(
    spec: &JobSpec,
    plan: &Arc<Plan>,
    feeds: Vec<F>,
    shared: &Arc<Shared>,
    events: &Sender<Event>,
    epoch: &Arc<EpochContext>,
) -> anyhow::Result<Vec<(Worker<F>, Sender<Command>)>> {
    let bounds = clock_bounds(&spec.clock)?;
    let make = |(index, feed)| {
        let (sender, commands) = unbounded();
        let mut chain = Chain::open(plan, bounds)?;
        chain.isolate(spec.poison);
        let worker = Worker {
            index,
            topic: spec.source.topic.clone(),
            feed,
            chain,
            shared: Arc::clone(shared),
            commands,
            events: events.clone(),
            epoch: Arc::clone(epoch),
            probation: None,
            tap: None,
        };
        Ok((worker, sender))
    };
    feeds.into_iter().enumerate().map(make).collect()
}

/// The store of a job, on the local disk.
///
/// # Errors
/// An output that no sibling can be named after.
pub fn store(spec: &JobSpec) -> anyhow::Result<DiskStore> {
    store_over(DiskLayer, spec)
}

/// The same over another layer of files.
///
/// # Errors
/// As [`store`].
pub fn store_over<L: FileLayer>(layer: L, spec: &JobSpec) -> anyhow::Result<PosixStore<L>> {
    let outputs: Vec<_> = spec.aggregates.iter().map(|of| (of.name.clone(), of.output.clone())).collect();
    let layout = Layout::new(JobName::new(&spec.name)?, &spec.checkpoint, &outputs)?;
    Ok(PosixStore::new(layer, layout))
}

/// The plugin runtime of this process.
///
/// # Errors
/// When it cannot be started.
pub fn runtime(spec: &JobSpec) -> anyhow::Result<Runtime> {
    let runtime = plain_runtime(spec.plugin_cache.clone(), &spec.limits, spec.compile_apart)?;
    Ok(match trust::admission(&spec.trust)? {
        Some(admission) => runtime.admitting(admission),
        None => runtime,
    })
}

/// One that admits whatever it is given.
///
/// # Errors
/// When it cannot be started.
pub fn plain_runtime(
    cache: Option<PathBuf>,
    limits: &Limits,
    compile_apart: bool,
) -> anyhow::Result<Runtime> {
    let options = RuntimeOptions { cache_dir: cache.or_else(user_cache), limits: limits.clone() };
    let runtime = Runtime::new(options).context("the plugin runtime cannot be started")?;
    Ok(if compile_apart { runtime.compiling_apart(compiler(limits)) } else { runtime })
}

/// The stages of a job as its settings have them, whatever a checkpoint may name.
///
/// # Errors
/// As [`Plan::make`]; and where the runtime cannot be started.
pub fn configured_plan(spec: &JobSpec) -> anyhow::Result<Plan> {
    let runtime = runtime(spec)?;
    Plan::make(spec, &|_, stage| Ok(runtime.load(&stage.plugin)?))
}

/// This program, as its command `compile-plugin`.
pub fn compiler(limits: &Limits) -> Compiler {
    let arguments = [
        ("--seconds", limits.compile_seconds_max),
        ("--memory-bytes", limits.compile_memory_max),
        ("--component-bytes", limits.component_bytes_max),
        ("--stack-bytes", limits.stack_bytes_max as u64),
    ];
    let arguments = arguments.into_iter().flat_map(|(flag, value)| [flag.into(), value.to_string().into()]);
    Compiler {
        // Also where its file has been replaced since.
        program: "/proc/self/exe".into(),
        arguments: std::iter::once("compile-plugin".into()).chain(arguments).collect(),
    }
}

/// Where the user's caches are, by the XDG convention; `None`: nothing is cached.
fn user_cache() -> Option<PathBuf> {
    let from_environment = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = from_environment.filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(base.join("speed-layer").join("plugins"))
}
