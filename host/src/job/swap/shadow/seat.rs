//! The coordinator's end of a shadow: when it begins, what each cut was, and which cut is
//! the last.

use std::sync::Arc;

use speed_layer_core::group::GroupTable;
use speed_layer_store::CommitStore;

use super::{CutSeen, Item, Order, Tap};
use crate::job::commit::{Commits, EpochCommit, Folded};
use crate::job::worker::{CutReport, Turn};
use crate::stages::{AggregateClock, EpochContext};

/// A job's open windows, to be copied.
pub trait OpenState {
    /// One table an aggregate.
    fn open_groups(&self) -> Vec<GroupTable>;
}

impl<S: CommitStore> OpenState for Commits<S> {
    fn open_groups(&self) -> Vec<GroupTable> {
        self.aggregates.iter().map(|aggregate| aggregate.open.groups().clone()).collect()
    }
}

/// Where one shadow at a time has its place.
#[derive(Debug, Default)]
pub enum Seat {
    #[default]
    Empty,
    /// For the next cut.
    Waiting(Box<Order>),
    Running(Running),
}

#[derive(Debug)]
pub struct Running {
    order: Box<Order>,
    /// The workers of the present cut, in the order of their reports.
    merged: Vec<usize>,
    is_last: bool,
}

impl Seat {
    /// A shadow that is to begin; one before it has been given up.
    pub fn take(&mut self, order: Box<Order>) {
        *self = Self::Waiting(order);
    }

    /// The workers have handed over.
    pub fn at_cut(&mut self, reports: &[CutReport]) {
        let Self::Running(running) = self else { return };
        let link = &running.order.link;
        if link.is_over() {
            *self = Self::Empty;
            return;
        }
        running.merged = reports.iter().map(|report| report.worker).collect();
        running.is_last = link.has_enough();
        if running.is_last {
            link.end_intake();
        }
    }

    /// What each worker goes on with: where the shadow begins, with its end of it.
    pub fn turns(&self) -> impl FnMut(usize) -> Option<Turn> + use<> {
        let order = match self {
            Self::Waiting(order) => Some((Arc::clone(&order.link), order.items.clone(), order.with_rows)),
            _ => None,
        };
        move |worker| {
            let (link, items, with_rows) = order.clone()?;
            Some(Turn::Shadow(Tap { worker, link, items, with_rows }))
        }
    }

    /// The job has folded the cut; its commit comes after this.
    pub fn note_fold(
        &mut self,
        epoch: &EpochContext,
        clocks: &[AggregateClock],
        folded: &Folded,
        commits: &dyn EpochCommit,
    ) {
        let Self::Running(running) = self else { return };
        let changed = folded.changed.clone();
        let bytes = changed.iter().flatten().map(GroupTable::bytes).sum();
        let seen = CutSeen {
            epoch: epoch.clone(),
            clocks: clocks.to_vec(),
            merged: std::mem::take(&mut running.merged),
            closed: folded.closed.clone(),
            changed,
            last: running.is_last.then(|| commits.open_groups()),
            bytes,
        };
        running.order.say(Item::Cut(Box::new(seen)), bytes);
        if running.is_last {
            *self = Self::Empty;
        }
    }

    /// The cut where the shadow begins is committed.
    pub fn begin(&mut self, commits: &dyn EpochCommit) {
        match std::mem::take(self) {
            Self::Waiting(order) => {
                order.say(Item::Begin(commits.open_groups()), 0);
                *self = Self::Running(Running { order, merged: Vec::new(), is_last: false });
            }
            other => *self = other,
        }
    }
}
