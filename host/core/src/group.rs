//! The groups of one aggregate: which slot of the state table belongs to which key
//! in which window, and from which offset on each window has rows. Both a worker's
//! partial results and the job's open windows are kept so. It decides neither which
//! rows are late nor what a state means.
//!
//! A call's way: [`GroupTable::assign`] finds each row's group and numbers the groups
//! of the call; [`Assignment::chunks`] cuts that into calls of bounded size; the
//! states of a chunk's slots are gathered, updated by the plugin and scattered.

mod assign;
mod key_bytes;
mod merge;
mod replay;
mod stored;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

pub use assign::{Assignment, Chunk, Rows, chunk_ranges};
pub use key_bytes::KeyBytes;
pub use merge::MergePlan;
pub use replay::{ReplayError, replay};
pub use stored::{ImportError, StoredGroups, WindowOffset};
pub use window::WindowGroups;

use crate::key::KeyError;
use crate::state::{StateError, StateLayout, StateTable};
use crate::time::WindowSpec;
use window::Window;

/// Why a table of groups refused.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("partition {partition} is not a number from 0 to {max}", max = window::PARTITION_MAX)]
    Partition { partition: i32 },
    #[error("groups with windows of {theirs_us} us cannot be merged into windows of {ours_us} us")]
    OtherWindows { ours_us: i64, theirs_us: i64 },
    #[error("the groups do not make a batch: {0}")]
    Arrow(#[from] ArrowError),
}

/// All groups of one aggregate, by window and key.
#[derive(Debug, Clone)]
pub struct GroupTable {
    spec: WindowSpec,
    /// By start, microseconds since 1970 UTC; the value is a place in `windows`.
    places: BTreeMap<i64, u32>,
    windows: Vec<Window>,
    free_places: Vec<u32>,
    states: StateTable,
    /// The number of the current call, never 0.
    call: u64,
}

impl GroupTable {
    /// A table without groups. `identity` is the state of a group without rows.
    ///
    /// # Errors
    /// `identity` is not one row in the layout's columns.
    pub fn new(
        spec: WindowSpec,
        layout: Arc<StateLayout>,
        identity: &RecordBatch,
    ) -> Result<Self, GroupError> {
        Ok(Self::over(spec, StateTable::new(layout, identity)?))
    }

    fn over(spec: WindowSpec, states: StateTable) -> Self {
        Self { spec, places: BTreeMap::new(), windows: Vec::new(), free_places: Vec::new(), states, call: 1 }
    }

    /// Another table of the same kind, without groups: a worker's.
    pub fn new_empty(&self) -> Self {
        Self::over(self.spec, self.states.new_empty())
    }

    /// The windows' length.
    pub fn spec(&self) -> WindowSpec {
        self.spec
    }

    /// The states by slot.
    pub fn states(&self) -> &StateTable {
        &self.states
    }

    /// The states by slot, to scatter into.
    pub fn states_mut(&mut self) -> &mut StateTable {
        &mut self.states
    }

    /// Groups, those of drained windows that were not released included.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Windows with groups.
    pub fn window_count(&self) -> usize {
        self.places.len()
    }

    /// The starts of the windows with groups, rising; microseconds since 1970 UTC.
    pub fn window_starts(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.places.keys().copied()
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.states.bytes() + self.windows.iter().map(Window::bytes).sum::<usize>()
    }

    /// Forgets all groups, keeping the memory of the states' fixed-width part.
    pub fn clear(&mut self) {
        self.places.clear();
        self.windows.clear();
        self.free_places.clear();
        self.states.clear();
    }

    /// All groups, ordered by window and then key; nothing changes.
    pub fn groups(&self) -> Vec<WindowGroups> {
        let groups =
            |(start_us, place): (&i64, &u32)| self.windows[*place as usize].groups(*start_us, self.spec);
        self.places.iter().map(groups).collect()
    }

    /// Groups of the windows that end at or before `closed_through_us`.
    pub fn closed_len(&self, closed_through_us: i64) -> usize {
        let closed =
            self.places.iter().take_while(|(start_us, _)| self.spec.end_of(**start_us) <= closed_through_us);
        closed.map(|(_, place)| self.windows[*place as usize].len()).sum()
    }

    /// Takes out the windows that end at or before `closed_through_us`, ordered by
    /// window and then key. Their states stay in their slots until
    /// [`Self::release`], so that they can be gathered for `finish`.
    pub fn drain_closed(&mut self, closed_through_us: i64) -> Vec<WindowGroups> {
        let mut closed = Vec::new();
        while let Some(entry) = self.places.first_entry()
            && self.spec.end_of(*entry.key()) <= closed_through_us
        {
            let (start_us, place) = entry.remove_entry();
            let window = std::mem::take(&mut self.windows[place as usize]);
            self.free_places.push(place);
            closed.push(window.groups(start_us, self.spec));
        }
        closed
    }

    /// Forgets the states of drained windows.
    ///
    /// # Errors
    /// They are not from this table.
    pub fn release(&mut self, closed: &[WindowGroups]) -> Result<(), GroupError> {
        closed.iter().try_for_each(|window| Ok(self.states.release(&window.slots)?))
    }

    /// Takes out the groups of these slots, as if they had never been made; the lowest
    /// offsets of their windows stay.
    ///
    /// # Errors
    /// They are not from this table.
    pub fn forget(&mut self, slots: &[u32]) -> Result<(), GroupError> {
        self.windows.iter_mut().for_each(|window| window.forget(slots));
        let (windows, free_places) = (&mut self.windows, &mut self.free_places);
        self.places.retain(|_, place| {
            let is_empty = windows[*place as usize].is_empty();
            if is_empty {
                windows[*place as usize] = Window::default();
                free_places.push(*place);
            }
            !is_empty
        });
        Ok(self.states.release(slots)?)
    }

    /// The place of the window that starts at `start_us`, made if there is none.
    fn place(&mut self, start_us: i64) -> u32 {
        if let Some(place) = self.places.get(&start_us) {
            return *place;
        }
        let place = self.free_places.pop().unwrap_or_else(|| {
            self.windows.push(Window::default());
            self.windows.len() as u32 - 1
        });
        self.places.insert(start_us, place);
        place
    }
}
