//! The states of groups: one row of columns a group, as an aggregate describes it.
//! Kept row by row, because a call touches whole rows in random order: the words of
//! a row's fixed-width columns lie together, variable-width values lie apart. It
//! knows neither keys nor windows, and it never looks into a state.

mod columns;
mod layout;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType};

pub use layout::StateLayout;

/// Bytes of bookkeeping for one variable-width value.
const VALUE_BYTES: usize = size_of::<Box<[u8]>>();

/// Why a table of states refused.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("state column {column:?} has type {data_type}, which is none of the contract's types")]
    Type { column: String, data_type: DataType },
    #[error("states have {expected} columns, but {found} were given")]
    ColumnCount { expected: usize, found: usize },
    #[error("state column {column:?} came as {found} in place of {expected}")]
    Column { column: String, expected: DataType, found: DataType },
    #[error("state column {column:?} has a null, and is declared without")]
    Null { column: String },
    #[error("{expected} states were expected, but {found} were given")]
    RowCount { expected: usize, found: usize },
    #[error("there is no state in slot {slot}; the table has {slots}")]
    Slot { slot: u32, slots: usize },
    #[error("two tables of states with different columns cannot be joined")]
    OtherLayout,
    #[error("a table of states is full: it has 4,294,967,295 slots")]
    Full,
    #[error("the values of state column {column:?} exceed 2 GiB in one batch: gather fewer groups at once")]
    TooLarge { column: String },
    #[error("the states do not make a batch: {0}")]
    Arrow(#[from] ArrowError),
}

/// States by slot. Slots are dense from 0; released ones are used again.
#[derive(Debug, Clone)]
pub struct StateTable {
    layout: Arc<StateLayout>,
    /// `layout.stride()` words a slot.
    words: Vec<u64>,
    /// By variable-width column, by slot.
    values: Vec<Vec<Box<[u8]>>>,
    value_bytes: usize,
    slots: usize,
    free: Vec<u32>,
    identity: Arc<Identity>,
}

/// The state of a group without rows.
#[derive(Debug)]
struct Identity {
    words: Vec<u64>,
    values: Vec<Box<[u8]>>,
}

impl StateTable {
    /// An empty table. `identity` is one row in the layout's columns.
    ///
    /// # Errors
    /// `identity` is not that.
    pub fn new(layout: Arc<StateLayout>, identity: &RecordBatch) -> Result<Self, StateError> {
        if identity.num_rows() != 1 {
            return Err(StateError::RowCount { expected: 1, found: identity.num_rows() });
        }
        let mut table = Self::empty(layout.clone(), Identity::zero(&layout));
        table.append(identity)?;
        let values = table.values.into_iter().flatten().collect();
        Ok(Self::empty(layout, Identity { words: table.words, values }))
    }

    fn empty(layout: Arc<StateLayout>, identity: Identity) -> Self {
        let values = vec![Vec::new(); layout.variable_columns()];
        let identity = Arc::new(identity);
        Self { layout, words: Vec::new(), values, value_bytes: 0, slots: 0, free: Vec::new(), identity }
    }

    /// Another table of the same kind, without states.
    pub fn new_empty(&self) -> Self {
        Self {
            layout: self.layout.clone(),
            words: Vec::new(),
            values: vec![Vec::new(); self.layout.variable_columns()],
            value_bytes: 0,
            slots: 0,
            free: Vec::new(),
            identity: self.identity.clone(),
        }
    }

    /// How its rows are laid out.
    pub fn layout(&self) -> &Arc<StateLayout> {
        &self.layout
    }

    /// States held.
    pub fn len(&self) -> usize {
        self.slots - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, released slots with them.
    pub fn bytes(&self) -> usize {
        self.words.capacity() * 8
            + self.values.iter().map(|column| column.capacity() * VALUE_BYTES).sum::<usize>()
            + self.value_bytes
    }

    /// Bytes that the state in `slot` takes in a batch, give or take its validity.
    pub fn state_bytes(&self, slot: u32) -> usize {
        let values = self.values.iter().filter_map(|column| column.get(slot as usize));
        self.layout.fixed_bytes() + values.map(|value| value.len()).sum::<usize>()
    }

    /// Adds the state of a group without rows and gives its slot.
    ///
    /// # Errors
    /// [`StateError::Full`].
    pub fn push_identity(&mut self) -> Result<u32, StateError> {
        let slot = self.take_slot()?;
        let identity = self.identity.clone();
        self.row_mut(slot).copy_from_slice(&identity.words);
        for (column, value) in identity.values.iter().enumerate() {
            self.set_value(column, slot, value);
        }
        Ok(slot)
    }

    /// Adds states and gives their slots, in the order of the rows.
    ///
    /// # Errors
    /// `states` is not in the layout's columns, or the table is full.
    pub fn append(&mut self, states: &RecordBatch) -> Result<Vec<u32>, StateError> {
        self.layout.verify(states)?;
        let slots: Result<Vec<u32>, StateError> = (0..states.num_rows()).map(|_| self.take_slot()).collect();
        let slots = slots?;
        self.scatter(&slots, states)?;
        Ok(slots)
    }

    /// Adds a copy of the state in `slot` of `other` and gives its slot here.
    ///
    /// # Errors
    /// The tables differ in columns, the slot is not there, or this table is full.
    pub fn push_from(&mut self, other: &Self, slot: u32) -> Result<u32, StateError> {
        if !self.layout.is_same(&other.layout) {
            return Err(StateError::OtherLayout);
        }
        other.verify_slots(&[slot])?;
        let ours = self.take_slot()?;
        self.row_mut(ours).copy_from_slice(other.row(slot));
        for (column, values) in other.values.iter().enumerate() {
            self.set_value(column, ours, &values[slot as usize]);
        }
        Ok(ours)
    }

    /// Forgets the states in `slots`, which are given out again later.
    ///
    /// # Errors
    /// A slot is not there.
    pub fn release(&mut self, slots: &[u32]) -> Result<(), StateError> {
        self.verify_slots(slots)?;
        for slot in slots {
            for column in 0..self.values.len() {
                self.set_value(column, *slot, &[]);
            }
        }
        self.free.extend_from_slice(slots);
        if self.is_empty() {
            *self = self.new_empty();
        }
        Ok(())
    }

    /// Forgets everything and keeps the memory of the fixed-width part.
    pub fn clear(&mut self) {
        self.words.clear();
        self.values.iter_mut().for_each(Vec::clear);
        self.value_bytes = 0;
        self.slots = 0;
        self.free.clear();
    }

    /// The states in `slots`, one row a slot, in that order.
    ///
    /// # Errors
    /// A slot is not there, or one column's values exceed 2 GiB.
    pub fn gather(&self, slots: &[u32]) -> Result<RecordBatch, StateError> {
        self.verify_slots(slots)?;
        columns::gather(self, slots)
    }

    /// Puts row i of `states` into slot `slots[i]`.
    ///
    /// # Errors
    /// `states` is not in the layout's columns or not of `slots`' length, or a slot
    /// is not there. Nothing has changed then.
    pub fn scatter(&mut self, slots: &[u32], states: &RecordBatch) -> Result<(), StateError> {
        self.layout.verify(states)?;
        if states.num_rows() != slots.len() {
            return Err(StateError::RowCount { expected: slots.len(), found: states.num_rows() });
        }
        self.verify_slots(slots)?;
        columns::scatter(self, slots, states);
        Ok(())
    }

    fn verify_slots(&self, slots: &[u32]) -> Result<(), StateError> {
        match slots.iter().max() {
            Some(slot) if *slot as usize >= self.slots => {
                Err(StateError::Slot { slot: *slot, slots: self.slots })
            }
            _ => Ok(()),
        }
    }

    /// A slot whose content is to be written.
    fn take_slot(&mut self) -> Result<u32, StateError> {
        if let Some(slot) = self.free.pop() {
            return Ok(slot);
        }
        let slot = u32::try_from(self.slots).ok().filter(|slot| *slot < u32::MAX).ok_or(StateError::Full)?;
        self.slots += 1;
        self.words.resize(self.slots * self.layout.stride(), 0);
        self.values.iter_mut().for_each(|column| column.push(Box::default()));
        Ok(slot)
    }

    fn row(&self, slot: u32) -> &[u64] {
        let stride = self.layout.stride();
        &self.words[slot as usize * stride..][..stride]
    }

    fn row_mut(&mut self, slot: u32) -> &mut [u64] {
        let stride = self.layout.stride();
        &mut self.words[slot as usize * stride..][..stride]
    }

    /// A value of the same length is overwritten where it lies.
    fn set_value(&mut self, column: usize, slot: u32, value: &[u8]) {
        let held = &mut self.values[column][slot as usize];
        if held.len() == value.len() {
            return held.copy_from_slice(value);
        }
        self.value_bytes = self.value_bytes - held.len() + value.len();
        *held = value.into();
    }
}

impl Identity {
    fn zero(layout: &StateLayout) -> Self {
        Self { words: vec![0; layout.stride()], values: vec![Box::default(); layout.variable_columns()] }
    }
}
