//! What becomes of groups that a plugin fails on in `merge` and `finish`, where there is no row to blame: they are
//! searched for in halves; then the job stops and says which one it is, or they are given up. What is given up lies
//! with its states in the dead letters, and rows that come later to such a group go there as well, until its window
//! is closed: a result without the rows before would be a wrong one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use arrow_array::RecordBatch;
use speed_layer_core::group::KeyBytes;
use speed_layer_plugin::{Aggregator, PluginError};
use tracing::warn;

use super::{GroupId, OpenWindows};
use crate::config::{OnGroupFailure, PoisonSpec};
use crate::stages::Renewable;
use crate::stages::culprits::{part_of_time, too_many, took_too_long};

/// What is searched for, as the errors say it.
const WHAT: &str = "groups";

/// A group whose result is not to be had, or a later part of it.
#[derive(Debug)]
pub struct GroupLetter {
    /// The key as a path.
    pub group: String,
    pub window_start_us: i64,
    /// The lowest offset that contributed to its window, with its partition.
    pub from: (i32, i64),
    pub kind: String,
    pub message: String,
    /// In the aggregate's columns: the group's state; where two could not be merged both.
    pub states: RecordBatch,
    /// It was given up before, this came later.
    pub is_late_part: bool,
}

/// The groups that were given up, and whether any may be.
#[derive(Debug, Default)]
pub(super) struct Failing {
    /// `None`: any failure is the job's.
    pub limits: Option<PoisonSpec>,
    pub dead: BTreeSet<GroupId>,
    pub letters: Vec<GroupLetter>,
}

/// What a plugin made of the groups of a call.
pub(super) struct Parts<T> {
    /// In the order of the groups.
    pub done: Vec<(Range<usize>, T)>,
    /// Groups on which it fails alone, by their place in the call.
    pub failed: Vec<(usize, PluginError)>,
}

/// A group of a call: where it is in the call, and the states of it there.
pub(super) struct Failed {
    pub id: GroupId,
    pub from: (i32, i64),
    pub states: RecordBatch,
    pub error: PluginError,
}

/// Calls a plugin for some of the groups of a call, by their places in it.
type PartCall<'a, T> = &'a mut dyn FnMut(&mut Aggregator, Range<usize>) -> Result<T, PluginError>;

/// Calls a plugin for `count` groups; where that fails, for halves of them, and halves of these. Where no group may be
/// given up, the first that is found ends the search.
///
/// # Errors
/// The failure, where groups are not to blame or the search has taken too long.
pub(super) fn in_parts<T>(
    aggregator: &mut Renewable<Aggregator>,
    limits: Option<PoisonSpec>,
    count: usize,
    call: PartCall<'_, T>,
) -> anyhow::Result<Parts<T>> {
    let error = match aggregator.call(|aggregator| call(aggregator, 0..count)) {
        Ok(done) => return Ok(Parts { done: vec![(0..count, done)], failed: Vec::new() }),
        Err(error) => error,
    };
    let Some(limits) = limits.filter(|_| error.may_lie_in_rows()) else { return Err(error.into()) };
    warn!("the groups that a plugin fails on are searched for, one by one if need be: {error}");
    let mut parts = Parts { done: Vec::new(), failed: Vec::new() };
    let (began, mut waiting) = (Instant::now(), Vec::new());
    parts.fail(0..count, error, &mut waiting);
    while let Some(part) = waiting.pop() {
        if limits.groups == OnGroupFailure::Stop && !parts.failed.is_empty() {
            break;
        }
        let times = part_of_time(part.len(), count);
        match aggregator.call_once(times, &mut |aggregator| call(aggregator, part.clone())) {
            Ok(done) => parts.done.push((part, done)),
            Err(error) if !error.may_lie_in_rows() => return Err(error.into()),
            Err(error) if began.elapsed() > Duration::from_millis(limits.budget_ms) => {
                return Err(error).with_context(|| took_too_long(WHAT, parts.failed.len(), limits));
            }
            Err(error) => parts.fail(part, error, &mut waiting),
        }
        check_share(&mut parts.failed, count, limits)?;
    }
    Ok(parts)
}

impl<T> Parts<T> {
    /// A group that failed, or halves that are still to be tried.
    fn fail(&mut self, part: Range<usize>, error: PluginError, waiting: &mut Vec<Range<usize>>) {
        if part.len() == 1 {
            self.failed.push((part.start, error));
            return;
        }
        let middle = part.start + part.len() / 2;
        waiting.extend([middle..part.end, part.start..middle]);
    }
}

fn check_share(
    failed: &mut Vec<(usize, PluginError)>,
    count: usize,
    limits: PoisonSpec,
) -> anyhow::Result<()> {
    let Some(said) = too_many(WHAT, failed.len(), count, limits) else { return Ok(()) };
    let error = failed.pop().map_or_else(|| anyhow!("it fails on all"), |(_, error)| error.into());
    Err(error.context(said))
}

impl OpenWindows {
    /// From now on a plugin's failure is searched for among the groups.
    pub fn isolate(&mut self, limits: PoisonSpec) {
        self.failing.limits = Some(limits);
    }

    /// The same as for the plugin before.
    pub fn isolate_as(&mut self, before: &Self) {
        self.failing.limits = before.failing.limits;
    }

    /// The groups that were given up and whose windows are open.
    pub fn given_up(&self) -> &BTreeSet<GroupId> {
        &self.failing.dead
    }

    /// Gives these groups up: their states are told of already.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn give_up_again(&mut self, groups: impl IntoIterator<Item = GroupId>) -> anyhow::Result<()> {
        self.failing.dead.extend(groups);
        let slots: Vec<u32> = self
            .failing
            .dead
            .iter()
            .filter_map(|(start_us, key)| self.table.slot_of(*start_us, key))
            .collect();
        Ok(self.table.forget(&slots)?)
    }

    /// Takes what is to be told of groups since this was last called.
    pub fn take_group_letters(&mut self) -> Vec<GroupLetter> {
        std::mem::take(&mut self.failing.letters)
    }

    /// Stops the job, or tells of a group and goes on without it.
    pub(super) fn give_up(&mut self, failed: Failed) -> anyhow::Result<()> {
        let Failed { id: (window_start_us, key), from, states, error } = failed;
        let group = self.path(&key)?;
        let gives_up = self.failing.limits.is_some_and(|limits| limits.groups == OnGroupFailure::DeadLetter);
        if !gives_up {
            return Err(error).with_context(|| {
                format!(
                    "the plugin of aggregate {} fails on the group {group} of the window at {window_start_us} us; replace \
                     it, or set on_group_failure = \"dead-letter\" to go on without such groups",
                    self.name
                )
            });
        }
        let kind = error.kind().replace("plugin-", "group-");
        let message = error.to_string();
        let letter = GroupLetter { group, window_start_us, from, kind, message, states, is_late_part: false };
        self.failing.letters.push(letter);
        Ok(())
    }

    /// Takes groups out of the open windows that could not be merged, by their slots.
    pub(super) fn bury(&mut self, failed: Vec<(u32, RecordBatch, PluginError)>) -> anyhow::Result<()> {
        if failed.is_empty() {
            return Ok(());
        }
        let (mut ids, mut from) = (BTreeMap::new(), BTreeMap::new());
        for window in self.table.groups() {
            from.insert(window.start_us, window.lowest_offsets.first().copied().unwrap_or_default());
            ids.extend(
                window.slots.iter().zip(window.keys).map(|(slot, key)| (*slot, (window.start_us, key))),
            );
        }
        let slots: Vec<u32> = failed.iter().map(|(slot, ..)| *slot).collect();
        for (slot, states, error) in failed {
            let id = ids.remove(&slot).context("a group that failed is not among the open ones")?;
            let from = from.get(&id.0).copied().unwrap_or_default();
            self.give_up(Failed { id: id.clone(), from, states, error })?;
            self.failing.dead.insert(id);
        }
        Ok(self.table.forget(&slots)?)
    }

    /// Tells of what has come to groups that were given up before.
    pub(super) fn bury_late_parts(&mut self) -> anyhow::Result<()> {
        let slot = |id: &GroupId| Some((id.clone(), self.table.slot_of(id.0, &id.1)?));
        let (come, slots): (Vec<GroupId>, Vec<u32>) = self.failing.dead.iter().filter_map(slot).unzip();
        if come.is_empty() {
            return Ok(());
        }
        let mut from = BTreeMap::new();
        for of in self.table.window_offsets() {
            from.entry(of.start_us).or_insert((of.partition, of.offset));
        }
        for ((window_start_us, key), slot) in come.into_iter().zip(&slots) {
            self.failing.letters.push(GroupLetter {
                group: self.path(&key)?,
                window_start_us,
                from: from.get(&window_start_us).copied().unwrap_or_default(),
                kind: "group-given-up".to_owned(),
                message: "the group was given up in an earlier commit; these are rows that came later"
                    .to_owned(),
                states: self.table.states().gather(&[*slot])?,
                is_late_part: true,
            });
        }
        Ok(self.table.forget(&slots)?)
    }

    /// Forgets groups whose windows are closed.
    pub(super) fn forget_dead(&mut self, closed_through_us: i64) {
        let spec = self.table.spec();
        self.failing.dead.retain(|(start_us, _)| spec.end_of(*start_us) > closed_through_us);
    }

    fn path(&self, key: &KeyBytes) -> anyhow::Result<String> {
        Ok(self.key_place.path(&self.keys.decode(std::iter::once(key.as_bytes()))?, 0)?)
    }
}
