//! The last stage of a worker: finds each row's window and key, sets late, withheld
//! and unpathable rows aside, and folds the rest into partial states.

use std::sync::Arc;

use anyhow::Context;
use arrow_array::ArrayRef;
use speed_layer_core::account::AggregateAccount;
use speed_layer_core::choice::{Choice, Offered};
use speed_layer_core::gate::{Admission, Gate};
use speed_layer_core::group::{Assignment, GroupTable, Rows};
use speed_layer_core::key::{EncodedKeys, KeyEncoder};
use speed_layer_core::path::{KeyUnpathable, unpathable_rows};
use speed_layer_core::state::StateLayout;
use speed_layer_core::time::{Duration, WindowSpec};
use speed_layer_plugin::{Aggregator, PluginError};
use speed_layer_store::fail_point;

use super::frame::Frame;
use super::isolate::Isolation;
use super::retry::Renewable;
use super::sides::{Culprit, Reason, Side, Sides};
use super::{AggregateClock, EpochContext};
use crate::plan::AggregatePlan;

/// State bytes that one call of an aggregate is given: bounds what a guest has to hold.
pub const STATE_BYTES_PER_CALL_MAX: usize = 2 << 20;

/// Where the rows of a batch belong and come from, one each.
#[derive(Clone, Copy)]
struct Places<'a> {
    keys: &'a EncodedKeys,
    partitions: &'a [i32],
    offsets: &'a [i64],
}

/// One aggregate on one worker.
pub struct Fold {
    name: String,
    needs: Vec<speed_layer_plugin::Need>,
    input: arrow_schema::SchemaRef,
    aggregator: Renewable<Aggregator>,
    keys: KeyEncoder,
    /// Each key has a path: the files hold it themselves.
    keeps_keys: bool,
    window: WindowSpec,
    table: GroupTable,
    /// On probation: what the plugin makes of rows that are withheld from it.
    rehearsal: Option<GroupTable>,
    culprit: Arc<Culprit>,
    /// When a stretch of the topic is read again.
    choice: Option<Choice>,
    starts_us: Vec<i64>,
    admission: Admission,
    assignment: Assignment,
}

/// The groups of one aggregate, without any yet: what a worker and the coordinator begin with.
///
/// # Errors
/// When the window is not a positive length or the state cannot be held.
pub fn empty_table(plan: &AggregatePlan) -> anyhow::Result<GroupTable> {
    let window = WindowSpec::new(Duration::from_ms(plan.spec.window_ms)?)?;
    let state = &plan.description.state;
    let layout = Arc::new(StateLayout::new(Arc::clone(&state.schema))?);
    Ok(GroupTable::new(window, layout, &state.identity)?)
}

/// An instance of the aggregate that can be made anew.
///
/// # Errors
/// When the plugin refuses.
pub fn open_aggregator(plan: &AggregatePlan) -> Result<Renewable<Aggregator>, PluginError> {
    let (plugin, config, input) = (plan.plugin.clone(), plan.config.clone(), Arc::clone(&plan.input));
    Renewable::open(move || plugin.open_aggregate(&config, &input))
}

impl Fold {
    /// Opens an instance of the aggregate.
    ///
    /// # Errors
    /// When the plugin refuses or the key cannot be grouped by.
    pub fn open(plan: &AggregatePlan) -> anyhow::Result<Self> {
        let table = empty_table(plan)?;
        Ok(Self {
            name: plan.spec.name.clone(),
            needs: plan.description.needs.clone(),
            input: Arc::clone(&plan.input),
            aggregator: open_aggregator(plan)?,
            keys: KeyEncoder::new(&plan.input, &plan.spec.key)?,
            keeps_keys: plan.spec.keep_key_column,
            window: table.spec(),
            table,
            rehearsal: None,
            culprit: Arc::new(Culprit {
                stage: "aggregate".into(),
                aggregate: Some(plan.spec.name.clone()),
                plugin_digest: plan.plugin.id().digest.hex(),
            }),
            choice: None,
            starts_us: Vec::new(),
            admission: Admission::default(),
            assignment: Assignment::default(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Folds these rows alone from now on, and sets no row aside as late or withheld.
    pub fn choose(&mut self, choice: Choice) {
        self.choice = Some(choice);
    }

    /// Folds the rows of `frame`; `index` is the aggregate's number in the epoch.
    ///
    /// # Errors
    /// The plugin failed, or the states do not fit.
    pub fn fold(
        &mut self,
        epoch: &EpochContext,
        index: usize,
        frame: &Frame<'_>,
        account: &mut AggregateAccount,
        sides: &mut Sides,
        isolation: &mut Isolation,
    ) -> anyhow::Result<()> {
        let event_us = frame.event_us.as_ref().context("the event time is not known at the aggregate")?;
        self.window.starts_of(event_us.values(), &mut self.starts_us);
        let (partitions, offsets) = (frame.partitions(), frame.offsets());
        match &self.choice {
            None => self.admit(&epoch.aggregates[index], frame, account, sides),
            Some(choice) => {
                let gate = gate(self.window, &epoch.aggregates[index]);
                let rows = Offered { starts_us: &self.starts_us, partitions: &partitions, offsets: &offsets };
                choice.admit(&gate, rows, &mut self.admission);
            }
        }
        let key_columns = self.key_columns(frame)?;
        if !self.keeps_keys {
            self.set_unpathable_aside(frame, &key_columns, account, sides);
        }
        account.aggregated += self.admission.selected.len() as u64;
        let keys = self.keys.encode(&key_columns)?;
        let context = epoch.for_aggregate(index);
        let places = Places { keys: &keys, partitions: &partitions, offsets: &offsets };
        let poison = self.fold_selected(&context, frame, places, isolation)?;
        if !poison.is_empty() {
            self.set_poison_aside(frame, poison, account, sides)?;
        }
        self.rehearse(&context, frame, places, isolation)
    }

    fn fold_selected(
        &mut self,
        context: &speed_layer_plugin::Context,
        frame: &Frame<'_>,
        places: Places<'_>,
        isolation: &mut Isolation,
    ) -> anyhow::Result<Vec<(u32, Reason)>> {
        let rows = Rows {
            keys: places.keys,
            windows_us: &self.starts_us,
            partitions: places.partitions,
            offsets: places.offsets,
            selected: &self.admission.selected,
        };
        self.table.assign(rows, &mut self.assignment)?;
        self.update(context, frame, isolation)
    }

    /// Folds what was withheld aside, where that is wanted.
    fn rehearse(
        &mut self,
        context: &speed_layer_plugin::Context,
        frame: &Frame<'_>,
        places: Places<'_>,
        isolation: &mut Isolation,
    ) -> anyhow::Result<()> {
        let Some(rehearsal) = self.rehearsal.take() else { return Ok(()) };
        let own = std::mem::replace(&mut self.table, rehearsal);
        std::mem::swap(&mut self.admission.selected, &mut self.admission.withheld);
        let folded = self.fold_selected(context, frame, places, isolation);
        self.rehearsal = Some(std::mem::replace(&mut self.table, own));
        folded.map(drop)
    }

    /// From now on folds withheld rows aside, or no longer does.
    pub fn set_rehearsal(&mut self, wanted: bool) {
        self.rehearsal = wanted.then(|| self.table.new_empty());
    }

    /// Takes what was folded aside since the last cut.
    pub fn cut_rehearsal(&mut self) -> Option<GroupTable> {
        let empty = self.table.new_empty();
        self.rehearsal.as_mut().map(|rehearsal| std::mem::replace(rehearsal, empty))
    }

    /// Bytes of the partial states since the last cut, roughly.
    pub fn held_bytes(&self) -> usize {
        self.table.bytes() + self.rehearsal.as_ref().map_or(0, GroupTable::bytes)
    }

    /// The partial states, which stay here.
    pub fn copy(&self) -> GroupTable {
        self.table.clone()
    }

    /// Takes the partial states since the last cut.
    pub fn cut(&mut self) -> GroupTable {
        let empty = self.table.new_empty();
        std::mem::replace(&mut self.table, empty)
    }

    /// Finds the rows whose windows are open and sets the others aside.
    fn admit(
        &mut self,
        clock: &AggregateClock,
        frame: &Frame<'_>,
        account: &mut AggregateAccount,
        sides: &mut Sides,
    ) {
        gate(self.window, clock).admit(&self.starts_us, &mut self.admission);
        account.late += self.admission.late.len() as u64;
        account.withheld += self.admission.withheld.len() as u64;
        for &row in &self.admission.late {
            self.set_late_aside(frame, row as usize, "late", clock.closed_through_ms, sides);
        }
        for &row in &self.admission.withheld {
            self.set_late_aside(frame, row as usize, "withheld", None, sides);
        }
    }

    fn set_late_aside(
        &self,
        frame: &Frame<'_>,
        row: usize,
        kind: &str,
        closed_ms: Option<i64>,
        sides: &mut Sides,
    ) {
        let start_us = self.starts_us[row];
        let end_us = self.window.end_of(start_us);
        let late_by_ms = closed_ms.map_or(0, |closed_ms| closed_ms - end_us.div_euclid(1000));
        let message = match closed_ms {
            Some(_) => format!("its window was closed {late_by_ms} ms of event time before"),
            None => "its window began before this aggregate did, or its present plugin".to_owned(),
        };
        let side = Side::Late { window_start_us: start_us, window_end_us: end_us, late_by_ms };
        let reason = Reason { side, kind: kind.into(), message };
        sides.push(frame.records, frame.record_of(row), &self.culprit, reason);
    }

    fn key_columns(&self, frame: &Frame<'_>) -> anyhow::Result<Vec<ArrayRef>> {
        let column = |&index: &usize| frame.columns[index].clone().context("a key column was not kept");
        self.keys.indices().iter().map(column).collect()
    }

    fn set_unpathable_aside(
        &mut self,
        frame: &Frame<'_>,
        key_columns: &[ArrayRef],
        account: &mut AggregateAccount,
        sides: &mut Sides,
    ) {
        let mut refused = unpathable_rows(self.keys.names(), key_columns).into_iter().peekable();
        if refused.peek().is_none() {
            return;
        }
        let culprit = &self.culprit;
        self.admission.selected.retain(|&row| {
            while refused.next_if(|(refused_row, _)| *refused_row < row).is_some() {}
            let Some((_, why)) = refused.next_if(|(refused_row, _)| *refused_row == row) else { return true };
            account.dead_lettered += 1;
            let reason =
                Reason { side: Side::DeadLetter, kind: KeyUnpathable::KIND.into(), message: why.to_string() };
            sides.push(frame.records, frame.record_of(row as usize), culprit, reason);
            false
        });
    }

    /// Folds the rows that have groups; those that the plugin fails on, which are tried in
    /// halves, are given back, rising.
    fn update(
        &mut self,
        context: &speed_layer_plugin::Context,
        frame: &Frame<'_>,
        isolation: &mut Isolation,
    ) -> anyhow::Result<Vec<(u32, Reason)>> {
        let mut poison = Vec::new();
        if self.assignment.rows.is_empty() {
            return Ok(poison);
        }
        let columns = self
            .needs
            .iter()
            .map(|need| frame.need(need, |name| self.input.index_of(name).ok()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut waiting = self.assignment.chunks(self.table.states(), STATE_BYTES_PER_CALL_MAX);
        waiting.reverse();
        while let Some(chunk) = waiting.pop() {
            let held = self.table.states().gather(&chunk.slots)?;
            let (rows, groups) = (&chunk.rows, &chunk.groups);
            let updated = self.aggregator.call_in(isolation.times(rows.len()), |aggregator| {
                aggregator.update(context, frame.rows, &columns, rows, groups, &held)
            });
            fail_point("aggregate.mid_batch");
            match updated {
                Ok(states) => self.table.states_mut().scatter(&chunk.slots, &states)?,
                Err(error) => {
                    let error = isolation.suspect(error)?;
                    match chunk.halves() {
                        Some([first, second]) => waiting.extend([second, first]),
                        None => poison.push((rows[0], isolation.poison(error)?)),
                    }
                }
            }
        }
        poison.sort_by_key(|(row, _)| *row);
        Ok(poison)
    }

    /// The rows that the plugin fails on leave the line, and groups of no other row go.
    fn set_poison_aside(
        &mut self,
        frame: &Frame<'_>,
        poison: Vec<(u32, Reason)>,
        account: &mut AggregateAccount,
        sides: &mut Sides,
    ) -> anyhow::Result<()> {
        let rows: Vec<u32> = poison.iter().map(|(row, _)| *row).collect();
        self.table.forget(&self.assignment.made_for(&rows))?;
        account.aggregated -= rows.len() as u64;
        account.dead_lettered += rows.len() as u64;
        for (row, reason) in poison {
            sides.push(frame.records, frame.record_of(row as usize), &self.culprit, reason);
        }
        Ok(())
    }
}

fn gate(window: WindowSpec, clock: &AggregateClock) -> Gate {
    let withheld_until_us = clock.withheld_until_ms.map(|ms| ms.saturating_mul(1000));
    Gate::new(window, clock.closed_through_ms, withheld_until_us)
}
