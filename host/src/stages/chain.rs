//! One worker's stages, in their order, and what has piled up since the last cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use speed_layer_core::account::Account;
use speed_layer_core::choice::Choice;
use speed_layer_core::clock::ClockBounds;
use speed_layer_core::event_span::EventSpan;
use speed_layer_core::group::GroupTable;
use speed_layer_core::records::Records;
use speed_layer_plugin::{Parsed, Parser, PluginId, Transformed, Transformer};
use speed_layer_store::fail_point;

use super::EpochContext;
use super::clock::ClockCheck;
use super::fold::Fold;
use super::frame::Frame;
use super::isolate::Isolation;
use super::reject::set_aside;
use super::retry::Renewable;
use super::seen::{Seen, aside, offered};
use super::sides::{Culprit, Sides};
use super::tail::Tail;
use crate::config::PoisonSpec;
use crate::plan::{ParsePlan, Plan, TransformPlan};

/// The stages of one worker, with plugin instances of its own.
pub struct Chain {
    plan: Arc<Plan>,
    parser: Renewable<Parser>,
    parse_culprit: Arc<Culprit>,
    clock: ClockCheck,
    transforms: Vec<(Renewable<Transformer>, Arc<Culprit>)>,
    folds: Vec<Fold>,
    account: Account,
    sides: Sides,
    isolation: Isolation,
    /// The rows that the aggregates were offered, where somebody asks.
    shown: Option<Vec<RecordBatch>>,
    /// The last rows, where they are printed.
    tail: Option<Tail>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("parse", &self.plan.parse.plugin).finish_non_exhaustive()
    }
}

/// What a worker hands over at a cut.
#[derive(Debug)]
pub struct Partial {
    pub account: Account,
    /// The greatest accepted event time of each partition that had one.
    pub greatest_ms: BTreeMap<i32, i64>,
    /// Of the rows that were accepted.
    pub event_times: EventSpan,
    pub sides: Sides,
    /// One an aggregate.
    pub groups: Vec<GroupTable>,
    /// One an aggregate: of rows that do not count, see [`Chain::rehearse`].
    pub rehearsed: Vec<Option<GroupTable>>,
}

impl Chain {
    /// Opens an instance of every plugin.
    ///
    /// # Errors
    /// When a plugin refuses, or a key cannot be grouped by.
    pub fn open(plan: &Arc<Plan>, bounds: ClockBounds) -> anyhow::Result<Self> {
        let parse = &plan.parse;
        let transforms = plan
            .transforms
            .iter()
            .enumerate()
            .map(|(i, transform)| open_transform(i, transform))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            parser: open_parser(parse)?,
            parse_culprit: culprit("parse", parse.plugin.id()),
            clock: ClockCheck {
                bounds,
                column: plan.event_time,
                culprit: culprit("clock", parse.plugin.id()),
                greatest_ms: BTreeMap::new(),
                event_times: EventSpan::default(),
            },
            transforms,
            folds: plan.aggregates.iter().map(Fold::open).collect::<anyhow::Result<_>>()?,
            account: account_of(plan),
            sides: Sides::default(),
            isolation: Isolation::default(),
            shown: None,
            tail: plan.console.as_ref().map(|of| Tail::of(of.rows)),
            plan: Arc::clone(plan),
        })
    }

    /// Has each aggregate fold these rows alone, one choice an aggregate; for a stretch of
    /// the topic that is read again.
    pub fn choose(&mut self, choices: Vec<Choice>) {
        self.folds.iter_mut().zip(choices).for_each(|(fold, choice)| fold.choose(choice));
    }

    /// From now on a plugin's failure costs no more than the rows that it fails on.
    pub fn isolate(&mut self, limits: PoisonSpec) {
        self.isolation.allow(limits);
    }

    /// Takes one batch through all stages.
    ///
    /// # Errors
    /// A plugin failed: what has piled up holds a part of this batch and must not be
    /// committed.
    pub fn process(&mut self, epoch: &EpochContext, records: &Records) -> anyhow::Result<()> {
        self.isolation.begin_batch(records.len());
        self.take(epoch, records)?;
        self.isolation.end_batch();
        Ok(())
    }

    /// As [`Self::process`], and says what became of the batch; the rows that the
    /// aggregates were offered only `with_rows`.
    ///
    /// # Errors
    /// As [`Self::process`].
    pub fn process_seen(
        &mut self,
        epoch: &EpochContext,
        records: &Records,
        with_rows: bool,
    ) -> anyhow::Result<Seen> {
        let before = self.sides.len();
        self.shown = with_rows.then(Vec::new);
        let outcome = self.process(epoch, records);
        let shown = self.shown.take().unwrap_or_default();
        outcome?;
        let offered = match shown.first() {
            Some(first) => Some(arrow_select::concat::concat_batches(first.schema_ref(), &shown)?),
            None => None,
        };
        Ok(Seen { offered, aside: aside(self.sides.since(before))? })
    }

    /// Takes the last rows since this was last called, where they are printed.
    pub fn take_tail(&mut self) -> Option<Tail> {
        self.tail.as_mut().filter(|tail| tail.seen() > 0).map(Tail::take)
    }

    /// Drops the rows that were set aside: nobody will write them.
    pub fn forget_sides(&mut self) {
        self.sides = Sides::default();
    }

    /// Records that the parser fails on are tried in halves.
    fn take(&mut self, epoch: &EpochContext, records: &Records) -> anyhow::Result<()> {
        let context = epoch.for_row_stages();
        let times = self.isolation.times(records.len());
        let error = match self.parser.call_in(times, |parser| parser.parse(&context, records)) {
            Ok(parsed) => {
                let frame = self.parsed(records, parsed);
                return self.offer(epoch, 0, frame);
            }
            Err(error) => self.isolation.suspect(error)?,
        };
        let half = records.len() / 2;
        if half == 0 {
            self.account.records_in += 1;
            self.account.dead_lettered.parse += 1;
            self.sides.push(records, 0, &self.parse_culprit, self.isolation.poison(error)?);
            return Ok(());
        }
        [0..half, half..records.len()]
            .into_iter()
            .try_for_each(|rows| self.take(epoch, &records.select(&rows.collect::<Vec<_>>())))
    }

    /// Rows that have come as far as `level` go on.
    fn offer(&mut self, epoch: &EpochContext, level: usize, mut frame: Frame<'_>) -> anyhow::Result<()> {
        self.check_clock(level, &mut frame, epoch)?;
        if level < self.transforms.len() {
            self.transform(epoch, level, frame)
        } else {
            self.fold(epoch, &frame)
        }
    }

    fn fold(&mut self, epoch: &EpochContext, frame: &Frame<'_>) -> anyhow::Result<()> {
        self.account.rows_offered += frame.rows as u64;
        if let Some(shown) = &mut self.shown {
            let schema = self.plan.transforms.last().map_or(&self.plan.parse.schema, |last| &last.schema);
            shown.push(offered(frame, schema)?);
        }
        if let (Some(tail), Some(columns)) = (&mut self.tail, &self.plan.console) {
            tail.note(frame, columns)?;
        }
        for (index, fold) in self.folds.iter_mut().enumerate() {
            let account = self.account.aggregate(fold.name());
            fold.fold(epoch, index, frame, account, &mut self.sides, &mut self.isolation)?;
        }
        Ok(())
    }

    /// Has the aggregates that `wanted` says, one an aggregate, take the rows that are
    /// withheld from them as well, for nothing: a plugin on probation is tried on them.
    pub fn rehearse(&mut self, wanted: impl IntoIterator<Item = bool>) {
        self.folds.iter_mut().zip(wanted).for_each(|(fold, wanted)| fold.set_rehearsal(wanted));
    }

    /// Roughly what the side rows hold in memory.
    pub fn side_bytes(&self) -> usize {
        self.sides.bytes()
    }

    /// Bytes of everything that has piled up since the last cut, roughly.
    pub fn held_bytes(&self) -> usize {
        self.sides.bytes() + self.folds.iter().map(Fold::held_bytes).sum::<usize>()
    }

    /// The greatest accepted event time of each partition that had one since the last cut.
    pub fn greatest_ms(&self) -> &BTreeMap<i32, i64> {
        &self.clock.greatest_ms
    }

    /// Takes what has piled up since the last cut.
    pub fn cut(&mut self) -> Partial {
        Partial {
            account: std::mem::replace(&mut self.account, account_of(&self.plan)),
            greatest_ms: std::mem::take(&mut self.clock.greatest_ms),
            event_times: std::mem::take(&mut self.clock.event_times),
            sides: std::mem::take(&mut self.sides),
            groups: self.folds.iter_mut().map(Fold::cut).collect(),
            rehearsed: self.folds.iter_mut().map(Fold::cut_rehearsal).collect(),
        }
    }

    /// What has piled up of each aggregate since the last cut.
    pub fn copy(&self) -> Vec<GroupTable> {
        self.folds.iter().map(Fold::copy).collect()
    }

    fn parsed<'a>(&mut self, records: &'a Records, parsed: Parsed) -> Frame<'a> {
        fail_point("parse.mid_batch");
        let rejected = parsed.rejects.rows.len() as u64;
        self.account.records_in += records.len() as u64;
        self.account.dead_lettered.parse += rejected;
        self.account.records_parsed += records.len() as u64 - rejected;
        self.account.rows_parsed += parsed.rows.num_rows() as u64;
        let columns = spread(&self.plan.parse.wanted, &parsed.rows, self.plan.parse.schema.fields().len());
        let frame = Frame::new(records, parsed.rows.num_rows(), columns, parsed.records);
        set_aside(&mut self.sides, &frame, parsed.rejects, &self.parse_culprit, |record| record as usize);
        frame
    }

    fn check_clock(
        &mut self,
        level: usize,
        frame: &mut Frame<'_>,
        epoch: &EpochContext,
    ) -> anyhow::Result<()> {
        if self.clock.column.level == level {
            let refused = self.clock.check(frame, epoch.epoch_began_ms, &mut self.sides)?;
            self.account.dead_lettered.clock += refused as u64;
        }
        Ok(())
    }

    /// Rows that the transform fails on are tried in halves.
    fn transform(&mut self, epoch: &EpochContext, index: usize, frame: Frame<'_>) -> anyhow::Result<()> {
        let plan = &self.plan.transforms[index];
        let (transformer, culprit) = &mut self.transforms[index];
        let given = plan
            .given
            .iter()
            .map(|&need| {
                frame.need(&plan.description.needs[need as usize], |name| plan.input.index_of(name).ok())
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let context = epoch.for_row_stages();
        let times = self.isolation.times(frame.rows);
        let error = match transformer.call_in(times, |plugin| plugin.transform(&context, frame.rows, &given))
        {
            Ok(done) => {
                let frame = self.transformed(index, frame, done)?;
                return self.offer(epoch, index + 1, frame);
            }
            Err(error) => self.isolation.suspect(error)?,
        };
        match frame.halves() {
            Some(halves) => halves.into_iter().try_for_each(|half| self.transform(epoch, index, half)),
            None => {
                let reason = self.isolation.poison(error)?;
                self.account.dead_lettered.transform += 1;
                self.sides.push(frame.records, frame.record_of(0), culprit, reason);
                Ok(())
            }
        }
    }

    fn transformed<'a>(
        &mut self,
        index: usize,
        mut frame: Frame<'a>,
        done: Transformed,
    ) -> anyhow::Result<Frame<'a>> {
        fail_point("transform.mid_batch");
        let (plan, (_, culprit)) = (&self.plan.transforms[index], &self.transforms[index]);
        let rejected = done.rejects.rows.len();
        set_aside(&mut self.sides, &frame, done.rejects, culprit, |row| frame.record_of(row as usize));
        let rows_before = frame.rows;
        if let Some(kept) = &done.kept {
            frame.keep(kept)?;
        }
        self.account.dead_lettered.transform += rejected as u64;
        self.account.rows_filtered += (rows_before - rejected - frame.rows) as u64;
        let mut columns = spread(&plan.wanted_computed, &done.rows, plan.schema.fields().len());
        for &(output, input) in &plan.passed_on {
            columns[output] = frame.columns[input].clone();
        }
        frame.columns = columns;
        Ok(frame)
    }
}

fn open_parser(plan: &ParsePlan) -> anyhow::Result<Renewable<Parser>> {
    let (plugin, config, wanted) = (plan.plugin.clone(), plan.config.clone(), plan.wanted.clone());
    Ok(Renewable::open(move || plugin.open_parse(&config, &wanted))?)
}

fn open_transform(
    index: usize,
    plan: &TransformPlan,
) -> anyhow::Result<(Renewable<Transformer>, Arc<Culprit>)> {
    let (plugin, config, input) = (plan.plugin.clone(), plan.config.clone(), Arc::clone(&plan.input));
    let (given, wanted) = (plan.given.clone(), plan.wanted_computed.clone());
    let transformer = Renewable::open(move || plugin.open_transform(&config, &input, &given, &wanted))?;
    Ok((transformer, culprit(&format!("transform:{index}"), plan.plugin.id())))
}

fn culprit(stage: &str, plugin: &PluginId) -> Arc<Culprit> {
    Arc::new(Culprit { stage: stage.into(), aggregate: None, plugin_digest: plugin.digest.hex() })
}

fn account_of(plan: &Plan) -> Account {
    Account::new(plan.aggregates.iter().map(|aggregate| aggregate.spec.name.as_str()))
}

/// The columns of `batch` at their places in a schema of `width` columns.
fn spread(wanted: &[u32], batch: &RecordBatch, width: usize) -> Vec<Option<ArrayRef>> {
    let mut columns = vec![None; width];
    for (&place, column) in wanted.iter().zip(batch.columns()) {
        columns[place as usize] = Some(Arc::clone(column));
    }
    columns
}
