//! One epoch's commit: partial states merged, closed windows finished, side rows and
//! windows staged, and the whole sealed and published by the store's committer.

mod anew;
mod group_letters;
mod hold;
mod join;
mod shown;
mod sides;
mod topics;
mod trial;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use speed_layer_core::account::Account;
use speed_layer_core::clock::ClockBounds;
use speed_layer_core::commit::{
    AggregateProgress, Codec, Epoch, Gap, Kind, MovedOutput, OutputId, PluginUse, Progress, PublishEntry,
    StageUse, kind_of,
};
use speed_layer_core::event_span::EventSpan;
use speed_layer_core::group::GroupTable;
use speed_layer_store::fail_point;
use speed_layer_store::footer::{OffsetRange, Recipe};
use speed_layer_store::letters::DeadLetters;
use speed_layer_store::{CommitStore, Committer, Footer, PendingCommit, States};

use super::memory::HoldsGroups;
use super::open_windows::{Closed, OpenWindows};
use super::partitions::Partitions;
use super::progress::Standing;
use super::recipe::recipe;
use super::snapshots::Snapshots;
use super::swap::OpenState;
use crate::config::{AggregateSpec, ClockSpec, Compression, SideSinks};
use crate::sinks::WindowPrinter;
use crate::stages::{AggregateClock, EpochContext, Partial, SideCounts, Sides};

pub use group_letters::given_up;
pub use hold::{HoldAt, Holding, HoldsWindows};
pub use join::Joined;
pub use sides::Staged;
pub use trial::Replacement;
use trial::{Before, PartialWindows};

/// Carries out the commits of a job.
pub trait EpochCommit: OpenState + HoldsGroups + HoldsWindows {
    /// Whether a commit is due even without records: there was none yet, or none since
    /// records were found lost.
    fn has_news(&self) -> bool;

    /// Records that are not and will not be read; every later commit and file says so.
    fn note_gaps(&mut self, gaps: Vec<Gap>);

    /// Merges an epoch's partial states into the open windows and finishes those that are
    /// closed now. Nothing is written.
    ///
    /// # Errors
    /// A plugin failed.
    fn fold(
        &mut self,
        epoch: &EpochContext,
        partials: Vec<Partial>,
        clocks: &[AggregateClock],
    ) -> anyhow::Result<Folded>;

    /// Commits what was folded; when it returns, all of it is durable and visible.
    ///
    /// # Errors
    /// The store failed, or the account does not add up. The process ends.
    fn seal(
        &mut self,
        epoch: &EpochContext,
        folded: Folded,
        clocks: &[AggregateClock],
        partitions: &Partitions,
    ) -> anyhow::Result<Done>;

    /// What each aggregate has open.
    fn standings(&self, clocks: &[AggregateClock]) -> Vec<Standing>;

    /// Until when each aggregate has windows open, milliseconds since 1970 UTC.
    fn open_until_ms(&self) -> Vec<Option<i64>>;

    /// Goes on with the plugins of a swap, which take over the open windows or begin
    /// anew; those before are kept until [`Self::end_trial`].
    ///
    /// # Errors
    /// An aggregate does not take them over, or the one before does not say what is in
    /// them. The trial is to be ended all the same.
    fn begin_trial(&mut self, replacement: Replacement) -> anyhow::Result<()>;

    /// Has every aggregate finish some open groups, for nothing.
    ///
    /// # Errors
    /// A plugin failed.
    fn try_finish(&mut self, epoch: &EpochContext) -> anyhow::Result<()>;

    /// Keeps the plugins of the swap, or goes back to those before, with the open windows
    /// as they were then.
    ///
    /// # Errors
    /// The store failed. The process ends.
    fn end_trial(&mut self, keep: bool) -> anyhow::Result<()>;
}

/// An epoch between its plugins' last call and its commit.
pub struct Folded {
    pub began: Instant,
    account: Account,
    event_times: EventSpan,
    sides: Sides,
    pub closed: Vec<Closed>,
    /// The workers' partial states, one list a worker.
    pub changed: Vec<Vec<GroupTable>>,
}

/// What a commit did.
#[derive(Debug, Clone)]
pub struct Done {
    pub generation: u64,
    pub account: Account,
    pub event_times: EventSpan,
    pub windows: u64,
    pub files: usize,
    pub published_bytes: u64,
    pub sides: SideCounts,
    pub stage: Duration,
    /// Until the epoch was sealed, and from then on.
    pub seal: Duration,
    pub publish: Duration,
    /// Since the process started.
    pub total_records: u64,
    /// Since the process started.
    pub total_windows: u64,
}

/// The commits of a job over a store.
pub struct Commits<S: CommitStore> {
    pub topic: String,
    pub committer: Committer<S>,
    pub snapshots: Snapshots,
    pub aggregates: Vec<AggregateCommit>,
    pub stages: Vec<StageUse>,
    pub gaps: Vec<Gap>,
    /// How many of them are in a checkpoint.
    pub gaps_committed: usize,
    pub clock: ClockSpec,
    pub sides: SideSinks,
    /// What this process has committed.
    pub account: Account,
    pub windows_out: u64,
    pub commits: u64,
    before: Option<Before>,
    /// To be written with the next commit.
    partials: Vec<PartialWindows>,
    /// The states are of another form than in the checkpoints before.
    writes_all: bool,
    printer: WindowPrinter,
}

/// One aggregate as its commits need it.
pub struct AggregateCommit {
    pub spec: AggregateSpec,
    pub open: OpenWindows,
    /// Oldest first.
    pub plugins: Vec<PluginUse>,
    /// Where a swap has moved its output.
    pub moved: Option<MovedOutput>,
    /// Closed windows that are not published yet.
    pub holding: Holding,
}

impl<S: CommitStore<Chain: Send + 'static>> EpochCommit for Commits<S> {
    fn has_news(&self) -> bool {
        self.committer.epoch() <= Epoch::default().next() || self.gaps.len() > self.gaps_committed
    }

    fn note_gaps(&mut self, gaps: Vec<Gap>) {
        self.gaps.extend(gaps);
    }

    fn fold(
        &mut self,
        epoch: &EpochContext,
        partials: Vec<Partial>,
        clocks: &[AggregateClock],
    ) -> anyhow::Result<Folded> {
        let began = Instant::now();
        let mut account = Account::new(self.aggregates.iter().map(|aggregate| aggregate.spec.name.as_str()));
        let (mut sides, mut event_times) = (Sides::default(), EventSpan::default());
        let mut changed = Vec::new();
        for partial in partials {
            account.add(&partial.account);
            event_times.add(&partial.event_times);
            sides.append(partial.sides);
            for (index, groups) in partial.groups.iter().enumerate() {
                self.aggregates[index].open.absorb(&epoch.for_aggregate(index), groups)?;
            }
            for (index, groups) in partial.rehearsed.iter().enumerate() {
                let Some(groups) = groups else { continue };
                self.aggregates[index].open.rehearse(&epoch.for_aggregate(index), groups)?;
            }
            changed.push(partial.groups);
        }
        fail_point("commit.merged");
        let close = |(index, clock): (usize, &AggregateClock)| {
            self.aggregates[index].open.close(&epoch.for_aggregate(index), clock.released_through_ms)
        };
        let closed = clocks.iter().enumerate().map(close).collect::<anyhow::Result<_>>()?;
        Ok(Folded { began, account, event_times, sides, closed, changed })
    }

    fn seal(
        &mut self,
        epoch: &EpochContext,
        mut folded: Folded,
        clocks: &[AggregateClock],
        partitions: &Partitions,
    ) -> anyhow::Result<Done> {
        self.snapshots.settle(&mut self.committer, false)?;
        let (began, side_counts) = (Instant::now(), SideCounts::of(&folded.sides));
        let (changed, event_times) = (std::mem::take(&mut folded.changed), folded.event_times);
        let mut tables = self.tables(epoch, &folded.closed)?;
        let mut staged = Staged::default();
        let (account, windows) = self.stage(epoch, folded, clocks, partitions, &mut staged)?;
        self.stage_partials(epoch, partitions, &mut staged.files)?;
        self.stage_open_records(epoch, &changed, partitions, &mut staged.outbox)?;
        self.add_open(epoch, &changed, &mut tables)?;
        let (staging, sealing) = (began.elapsed(), Instant::now());
        let (kind, states) = self.states(&changed).context("the open windows cannot be written down")?;
        let progress = self.progress(epoch, clocks, partitions);
        let Staged { files, outbox } = staged;
        let published_bytes = files.iter().map(|file| file.bytes).sum();
        let committed = self.committer.commit(PendingCommit { progress, kind, states, files, outbox })?;
        let seal = sealing.elapsed().saturating_sub(committed.publish);
        self.settle_held();
        self.printer.show(tables.iter().map(|(_, table)| table))?;
        self.gaps_committed = self.gaps.len();
        self.writes_all = false;
        self.snapshots.begin_due(&mut self.committer)?;
        self.account.add(&account);
        self.windows_out += windows;
        self.commits += 1;
        Ok(Done {
            generation: self.committer.generation().0,
            account,
            event_times,
            windows,
            files: committed.files,
            published_bytes,
            sides: side_counts,
            stage: staging,
            seal,
            publish: committed.publish,
            total_records: self.account.records_in,
            total_windows: self.windows_out,
        })
    }

    fn standings(&self, clocks: &[AggregateClock]) -> Vec<Standing> {
        self.aggregates.iter().zip(clocks).map(|(of, clock)| of.standing(clock)).collect()
    }

    fn open_until_ms(&self) -> Vec<Option<i64>> {
        self.aggregates.iter().map(|aggregate| aggregate.open.last_end_ms()).collect()
    }

    fn begin_trial(&mut self, replacement: Replacement) -> anyhow::Result<()> {
        self.begin(replacement)
    }

    fn try_finish(&mut self, epoch: &EpochContext) -> anyhow::Result<()> {
        let mut aggregates = self.aggregates.iter_mut().enumerate();
        aggregates.try_for_each(|(index, aggregate)| aggregate.open.try_finish(&epoch.for_aggregate(index)))
    }

    fn end_trial(&mut self, keep: bool) -> anyhow::Result<()> {
        self.end(keep)
    }
}

/// What the commits of a job begin with.
pub struct Beginning<S: CommitStore> {
    pub topic: String,
    pub committer: Committer<S>,
    pub aggregates: Vec<AggregateCommit>,
    pub stages: Vec<StageUse>,
    pub gaps: Vec<Gap>,
    /// So many of them are in the checkpoint.
    pub gaps_committed: usize,
    pub clock: ClockSpec,
    pub sides: SideSinks,
}

impl<S: CommitStore> Commits<S> {
    pub fn new(beginning: Beginning<S>) -> Self {
        let Beginning { topic, committer, aggregates, stages, gaps, gaps_committed, clock, sides } =
            beginning;
        let account = Account::new(aggregates.iter().map(|aggregate| aggregate.spec.name.as_str()));
        Self {
            topic,
            committer,
            snapshots: Snapshots::default(),
            aggregates,
            stages,
            gaps,
            gaps_committed,
            clock,
            sides,
            account,
            windows_out: 0,
            commits: 0,
            before: None,
            partials: Vec::new(),
            writes_all: false,
            printer: WindowPrinter::default(),
        }
    }

    /// Writes down what an epoch closed and set aside, to be published with the next commit; its
    /// account, and how many windows those are.
    fn stage(
        &mut self,
        epoch: &EpochContext,
        folded: Folded,
        clocks: &[AggregateClock],
        partitions: &Partitions,
        staged: &mut Staged,
    ) -> anyhow::Result<(Account, u64)> {
        let Folded { mut account, sides, closed, .. } = folded;
        let windows = closed.iter().map(Closed::rows).sum();
        let mut notes = DeadLetters::default();
        for (index, (closed, clock)) in closed.into_iter().zip(clocks).enumerate() {
            account.groups_dead_lettered += self.note_groups(index, &closed, epoch, &mut notes);
            account.groups_dead_lettered += self.write_group_letters(index, epoch, &mut notes)?;
            self.stage_closed_records(index, &closed.records, epoch, partitions, &mut staged.outbox)?;
            self.stage_windows(index, closed, epoch, clock, partitions, &mut staged.files)?;
        }
        self.stage_sides(sides, notes, epoch, partitions, staged)?;
        account.check()?;
        Ok((account, windows))
    }

    fn stage_windows(
        &mut self,
        index: usize,
        closed: Closed,
        epoch: &EpochContext,
        clock: &AggregateClock,
        partitions: &Partitions,
        files: &mut Vec<PublishEntry>,
    ) -> anyhow::Result<()> {
        let aggregate = &self.aggregates[index];
        let output = OutputId::Aggregate(aggregate.spec.name.clone());
        let codec = codec(aggregate.spec.compression);
        let lowest: BTreeMap<i32, i64> = closed.lowest_offsets.iter().copied().collect();
        let mut footer = self.footer(epoch, partitions, &lowest);
        footer.plugins = self.row_plugins().chain(self.aggregates[index].plugins.iter().cloned()).collect();
        footer.closed_through_ms = clock.closed_through_ms;
        let recipe = recipe(aggregate, &self.stages, &self.clock, partitions.topic_id());
        for closed_part in closed.parts {
            fail_point("window.before_write");
            footer.recipe = Some(Recipe { path: closed_part.path.clone(), ..recipe.clone() });
            let schema = closed_part.rows.schema();
            let mut part = self.committer.begin_part(&output, &closed_part.path, schema, codec)?;
            part.write(&closed_part.rows)?;
            files.push(self.committer.finish_part(part, &footer)?);
        }
        Ok(())
    }

    fn row_plugins(&self) -> impl Iterator<Item = PluginUse> + '_ {
        self.stages.iter().flat_map(|stage| stage.plugins.iter().cloned())
    }

    fn footer(&self, epoch: &EpochContext, partitions: &Partitions, lowest: &BTreeMap<i32, i64>) -> Footer {
        let cut: BTreeMap<i32, i64> = partitions.next_offsets().into_iter().collect();
        let range = |(&partition, &lowest): (&i32, &i64)| OffsetRange {
            topic: self.topic.clone(),
            partition,
            lowest,
            cut: cut.get(&partition).copied().unwrap_or(lowest),
        };
        Footer {
            job: self.committer.store().job().clone(),
            epoch: self.committer.epoch(),
            generation: self.committer.generation(),
            offsets: lowest.iter().map(range).collect(),
            plugins: Vec::new(),
            closed_through_ms: None,
            clock_bound_ms: self.clock_bound_ms(epoch),
            gaps: self.gaps.clone(),
            recipe: None,
        }
    }

    fn clock_bound_ms(&self, epoch: &EpochContext) -> i64 {
        epoch.epoch_began_ms.saturating_add(self.clock.max_future_skew_ms)
    }

    /// What goes into the checkpoint of the open windows: all of them, or those that the
    /// workers' partial states, one list a worker, have changed.
    fn states(&self, changed: &[Vec<GroupTable>]) -> anyhow::Result<(Kind, States)> {
        let open = self.aggregates.iter().map(|aggregate| aggregate.open.len()).sum();
        let touched = changed.iter().flatten().map(GroupTable::len).sum();
        let chain = self.committer.chain();
        let kind = if self.writes_all { Kind::Full } else { kind_of(open, touched, chain) };
        let mut states = States::new();
        for (index, aggregate) in self.aggregates.iter().enumerate() {
            let stored = match kind {
                Kind::Full => aggregate.open.export()?,
                Kind::Delta => {
                    let of_it: Vec<&GroupTable> = changed.iter().map(|groups| &groups[index]).collect();
                    aggregate.open.export_changed(&of_it)?
                }
            };
            states.push((aggregate.spec.name.clone(), stored));
        }
        Ok((kind, states))
    }

    fn progress(&self, epoch: &EpochContext, clocks: &[AggregateClock], partitions: &Partitions) -> Progress {
        let aggregates = self.aggregates.iter().zip(clocks);
        Progress {
            epoch_began_ms: epoch.epoch_began_ms,
            clock_bound_ms: self.clock_bound_ms(epoch),
            partitions: partitions.progress(),
            stages: self.stages.clone(),
            aggregates: aggregates.map(|(of, clock)| self.aggregate_progress(of, clock)).collect(),
            gaps: self.gaps.clone(),
        }
    }

    /// Ends the job in order.
    ///
    /// # Errors
    /// The store failed; what is committed stays.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.snapshots.settle(&mut self.committer, true)?;
        self.committer.close_clean()?;
        Ok(())
    }

    fn aggregate_progress(&self, aggregate: &AggregateCommit, clock: &AggregateClock) -> AggregateProgress {
        let spec = &aggregate.spec;
        AggregateProgress {
            name: spec.name.clone(),
            key: spec.key.clone(),
            window_ms: spec.window_ms as i64,
            delay_ms: spec.watermark_ms as i64,
            keep_key_column: spec.keep_key_column,
            closed_through_ms: clock.closed_through_ms,
            held: aggregate.holding.stored(),
            idle_trigger_ms: clock.idle_trigger_ms,
            withheld_until_ms: clock.withheld_until_ms,
            state_version: aggregate.open.state_version,
            plugins: aggregate.plugins.clone(),
            moved: aggregate.moved.clone(),
            opened_with: Some(aggregate.open.opened_with.clone()),
            given_up: group_letters::marks(&aggregate.open),
            windows: Vec::new(),
        }
    }
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::Snappy => Codec::Snappy,
        Compression::Zstd => Codec::Zstd,
    }
}

/// The bounds of the clock check, as a job sets them.
pub fn clock_bounds(clock: &ClockSpec) -> anyhow::Result<ClockBounds> {
    let skew = speed_layer_core::time::Duration::from_ms(clock.max_future_skew_ms.unsigned_abs())?;
    Ok(ClockBounds::new(clock.min_event_time_ms, skew))
}
