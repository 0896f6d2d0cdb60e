//! Closed windows that are not published yet, as the commits keep them: the decision is the core's, the rows stay among
//! the open windows' states. What a cut decides counts once its epoch is sealed.

use speed_layer_core::commit::{HeldSpan, HeldWindows, HoldCut, OffsetMark};
use speed_layer_store::CommitStore;

use super::{AggregateCommit, Commits};
use crate::job::progress::Standing;
use crate::stages::AggregateClock;

/// What is held of one aggregate.
#[derive(Debug, Clone, Default)]
pub struct Holding {
    /// As of the last commit.
    sealed: HeldWindows,
    /// As of the one that is being made.
    next: HeldWindows,
    /// What that one lets go of.
    released: Vec<HeldSpan>,
}

/// The cut at which it is decided what is held.
#[derive(Debug, Clone, Copy)]
pub struct HoldAt<'a> {
    pub now_ms: i64,
    pub offsets: &'a [OffsetMark],
    /// A swap begins here: the plugin that filled the windows finishes them.
    pub releases_all: bool,
}

impl Holding {
    /// What a checkpoint says.
    pub fn of(held: HeldWindows) -> Self {
        Self { next: held.clone(), sealed: held, released: Vec::new() }
    }

    /// For the checkpoint; `None` where nothing is held.
    pub fn stored(&self) -> Option<HeldWindows> {
        (!self.next.spans.is_empty()).then(|| self.next.clone())
    }

    /// Up to where the windows' records are that the commit lets go of, where that is not the commit's own cut.
    pub fn released(&self) -> &[HeldSpan] {
        &self.released
    }
}

impl AggregateCommit {
    /// What it has after a commit with these clocks.
    pub(super) fn standing(&self, clock: &AggregateClock) -> Standing {
        let groups = self.open.groups();
        let closed_us = clock.closed_through_ms.map_or(i64::MIN, |ms| ms.saturating_mul(1000));
        let is_held = |start_us: &i64| groups.spec().end_of(*start_us) <= closed_us;
        let held_windows = groups.window_starts().take_while(is_held).count();
        let held_groups = groups.closed_len(closed_us);
        Standing {
            name: self.spec.name.clone(),
            delay_ms: self.spec.watermark_ms,
            closed_through_ms: clock.closed_through_ms,
            open_windows: (groups.window_count() - held_windows) as u64,
            open_groups: (groups.len() - held_groups) as u64,
            held_windows: held_windows as u64,
            held_groups: held_groups as u64,
            state_bytes: groups.bytes() as u64,
        }
    }

    fn hold(&mut self, clock: &mut AggregateClock, at: HoldAt<'_>) {
        let Some(closed_through_ms) = clock.closed_through_ms else { return };
        let cut = HoldCut { closed_through_ms, now_ms: at.now_ms, offsets: at.offsets };
        let limits = self.spec.hold.as_ref().filter(|_| !at.releases_all);
        let groups = self.open.groups();
        let rows = groups.closed_len(closed_through_ms.saturating_mul(1000)) as u64;
        let (next, released) = self.holding.sealed.after(cut, groups.spec(), rows, limits);
        clock.released_through_ms = next.released_through_ms;
        (self.holding.next, self.holding.released) = (next, released);
    }
}

/// Holds closed windows back.
pub trait HoldsWindows {
    /// Decides which of the windows that are closed at a cut are published with its commit.
    fn hold(&mut self, clocks: &mut [AggregateClock], at: HoldAt<'_>);
}

impl<S: CommitStore> HoldsWindows for Commits<S> {
    fn hold(&mut self, clocks: &mut [AggregateClock], at: HoldAt<'_>) {
        self.aggregates.iter_mut().zip(clocks).for_each(|(of, clock)| of.hold(clock, at));
    }
}

impl<S: CommitStore> Commits<S> {
    /// What was decided is sealed.
    pub(super) fn settle_held(&mut self) {
        for Holding { sealed, next, released } in self.aggregates.iter_mut().map(|of| &mut of.holding) {
            sealed.clone_from(next);
            released.clear();
        }
    }
}
