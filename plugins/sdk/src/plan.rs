//! A plan: the accumulators of an aggregate, laid out as the contract's columns.
//!
//! It shares one input column among all accumulators that read it, gives each its own
//! columns of the state, and runs them one after the other over a whole batch. It knows
//! nothing of what an accumulator does. What older versions of the state looked like is told by
//! [`Plan::since`].

use std::collections::BTreeMap;
use std::ops::Range;

use crate::aggregate::{AggregateDescription, Closing, Finished, Pairs, StateDescription};
use crate::history::{History, Since, contradiction};
use crate::migrate::Migration;
use crate::rejects::RejectsBuilder;
use crate::schema::require;
use crate::types::{Batch, Column, ColumnData, DataType, Failure, Field, Need, Refusal, Schema};
use crate::undo::undo;

/// One column that an accumulator reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A column of the input with the type that it has to have.
    Column(String, DataType),
    /// One that the host makes: the row's event time, partition, offset and so on.
    Host(Need),
}

impl Input {
    fn need(&self) -> Need {
        match self {
            Input::Column(name, _) => Need::Column(name.clone()),
            Input::Host(need) => need.clone(),
        }
    }
}

/// One column of an accumulator's state.
#[derive(Clone, Debug)]
pub struct StateColumn {
    /// Comes after the accumulator's name in the column's name; empty for the only column.
    pub suffix: &'static str,
    /// The column's type.
    pub data_type: DataType,
    /// Whether it may be null.
    pub nullable: bool,
    /// One row: what a group without rows has.
    pub identity: Column,
}

impl StateColumn {
    /// A column that is null until the first value.
    pub fn null(suffix: &'static str, data_type: DataType, data: ColumnData) -> Self {
        StateColumn { suffix, data_type, nullable: true, identity: Column { validity: Some(vec![0]), data } }
    }

    /// A column without nulls that begins with the one value in `data`.
    pub fn from(suffix: &'static str, data_type: DataType, data: ColumnData) -> Self {
        StateColumn { suffix, data_type, nullable: false, identity: Column { validity: None, data } }
    }
}

/// Something kept for each group, in columns that the host owns.
///
/// `state` is always the columns of [`Accumulator::state`], one row a group.
pub trait Accumulator: 'static {
    /// The columns that it reads, in the order in which `update` gets them.
    fn inputs(&self) -> Vec<Input>;

    /// The columns of its state.
    fn state(&self) -> Vec<StateColumn>;

    /// The columns that it gives; `name` is what the plan calls its output.
    fn outputs(&self, name: &str) -> Vec<Field>;

    /// Takes rows into the states of their groups.
    ///
    /// # Errors
    /// Those that concern the whole batch.
    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure>;

    /// Takes the states of `right` into those of `left`, row by row.
    ///
    /// # Errors
    /// Those that concern all groups.
    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure>;

    /// The outputs, one row a group.
    ///
    /// # Errors
    /// Those that concern all groups; what has to be said of one is a note.
    fn finish(
        &self,
        state: &[Column],
        closing: &Closing<'_>,
        notes: &mut Notes,
    ) -> Result<Vec<Column>, Failure>;
}

/// What has to be said of single groups: one note a group, the first kind names it.
#[derive(Debug, Default)]
pub struct Notes {
    by_group: BTreeMap<u32, (&'static str, String)>,
}

impl Notes {
    /// Says something of a group.
    pub fn add(&mut self, group: usize, kind: &'static str, message: &str) {
        let note = self.by_group.entry(group as u32).or_insert_with(|| (kind, String::new()));
        if !note.1.is_empty() {
            note.1.push_str("; ");
        }
        note.1.push_str(message);
    }
}

struct Part {
    inputs: Vec<usize>,
    state: Range<usize>,
    accumulator: Box<dyn Accumulator>,
}

impl Part {
    fn columns<'a>(&self, batch: &'a Batch) -> Vec<&'a Column> {
        self.inputs.iter().map(|&input| &batch.columns[input]).collect()
    }
}

/// The accumulators of an aggregate.
pub struct Plan {
    version: u32,
    pub(crate) history: History,
    input: Schema,
    needs: Vec<Need>,
    state: Schema,
    /// The name of each state column's accumulator.
    accumulators: Vec<String>,
    identity: Batch,
    output: Schema,
    parts: Vec<Part>,
}

impl Plan {
    /// Without accumulators; `version` is the state's, and rises whenever the meaning or the
    /// shape of the state changes. What [`Plan::since`] names raises it too.
    pub fn new(version: u32, input: &Schema) -> Self {
        let none = || Schema { fields: vec![] };
        Plan {
            version,
            history: History::default(),
            input: input.clone(),
            needs: vec![],
            state: none(),
            accumulators: vec![],
            identity: Batch { rows: 1, columns: vec![] },
            output: none(),
            parts: vec![],
        }
    }

    /// Adds an accumulator. `state_name` names its state columns and has to stay the same
    /// however the configuration names the output.
    ///
    /// # Errors
    /// `bad-input` when the input lacks a column that it reads or has it with another type.
    pub fn add(
        &mut self,
        state_name: &str,
        output_name: &str,
        accumulator: impl Accumulator,
    ) -> Result<(), Refusal> {
        self.add_named(state_name, output_name, accumulator).map(|_names| ())
    }

    /// Adds an accumulator; gives the names of its state columns.
    pub(crate) fn add_named(
        &mut self,
        state_name: &str,
        output_name: &str,
        accumulator: impl Accumulator,
    ) -> Result<Vec<String>, Refusal> {
        let inputs = accumulator.inputs();
        let inputs =
            inputs.iter().map(|input| self.input_number(input, output_name)).collect::<Result<_, _>>()?;
        let begin = self.state.fields.len();
        for column in accumulator.state() {
            self.add_state(state_name, column);
        }
        self.output.fields.extend(accumulator.outputs(output_name));
        let state = begin..self.state.fields.len();
        let names = self.state.fields[state.clone()].iter().map(|field| field.name.clone()).collect();
        self.parts.push(Part { inputs, state, accumulator: Box::new(accumulator) });
        Ok(names)
    }

    /// What this version of the state, 2 or later, changed: see [`Since`]. Older states can be
    /// read as far back as each version is declared; without a word of the next one they cannot,
    /// because then nobody knows what has changed.
    pub fn since(&mut self, version: u32) -> Since<'_> {
        self.version = self.version.max(version);
        Since { plan: self, version }
    }

    /// Checks what was declared of older versions. The export macro does it after
    /// [`Aggregate::plan`](crate::aggregate::Aggregate::plan).
    ///
    /// # Errors
    /// `bad-config` with the line that cannot be true.
    pub fn check(&self) -> Result<(), Refusal> {
        self.migration().map(|_known| ())
    }

    fn migration(&self) -> Result<Migration<'_>, Refusal> {
        let steps = undo(&self.history, self.version, &self.state, &self.accumulators);
        let steps = steps.map_err(|why| contradiction(&why))?;
        Ok(Migration { version: self.version, present: &self.state, steps })
    }

    fn input_number(&mut self, input: &Input, reader: &str) -> Result<usize, Refusal> {
        if let Input::Column(name, data_type) = input {
            require(&self.input, name, *data_type, &format!("the output {reader:?}"))?;
        }
        let need = input.need();
        let known = self.needs.iter().position(|known| *known == need);
        Ok(known.unwrap_or_else(|| {
            self.needs.push(need);
            self.needs.len() - 1
        }))
    }

    fn add_state(&mut self, state_name: &str, column: StateColumn) {
        let joint = if column.suffix.is_empty() { "" } else { "_" };
        let name = format!("{state_name}{joint}{}", column.suffix);
        self.accumulators.push(state_name.to_owned());
        self.state.fields.push(Field { name, data_type: column.data_type, nullable: column.nullable });
        self.identity.columns.push(column.identity);
    }

    /// What the contract's `describe` gives.
    pub fn describe(&self) -> AggregateDescription {
        let state = StateDescription {
            version: self.version,
            columns: self.state.clone(),
            identity: self.identity.clone(),
        };
        AggregateDescription { needs: self.needs.clone(), state, output: self.output.clone() }
    }

    /// The contract's `update`.
    ///
    /// # Errors
    /// Those of the accumulators.
    pub fn update(&self, batch: &Batch, pairs: Pairs<'_>, mut states: Batch) -> Result<Batch, Failure> {
        for part in &self.parts {
            part.accumulator.update(&part.columns(batch), pairs, &mut states.columns[part.state.clone()])?;
        }
        Ok(states)
    }

    /// The contract's `merge`.
    ///
    /// # Errors
    /// Those of the accumulators.
    pub fn merge(&self, mut left: Batch, right: &Batch) -> Result<Batch, Failure> {
        for part in &self.parts {
            let state = part.state.clone();
            part.accumulator.merge(&mut left.columns[state.clone()], &right.columns[state])?;
        }
        Ok(left)
    }

    /// The contract's `finish`.
    ///
    /// # Errors
    /// Those of the accumulators.
    pub fn finish(&self, states: &Batch, closing: &Closing<'_>) -> Result<Finished, Failure> {
        let mut notes = Notes::default();
        let mut columns = Vec::with_capacity(self.output.fields.len());
        for part in &self.parts {
            let state = &states.columns[part.state.clone()];
            columns.extend(part.accumulator.finish(state, closing, &mut notes)?);
        }
        let mut packed = RejectsBuilder::default();
        notes.by_group.iter().for_each(|(&group, (kind, message))| packed.push(group, kind, message));
        Ok(Finished { rows: Batch { rows: states.rows, columns }, notes: packed.finish() })
    }

    /// The contract's `migrate`: states of the same version and columns as they are, older ones
    /// as it was declared.
    ///
    /// # Errors
    /// `bad-input` for a version that it cannot read, and for columns that are not those of
    /// their version.
    pub fn migrate(&self, from_version: u32, from: &Schema, states: Batch) -> Result<Batch, Refusal> {
        self.migration()?.migrate(from_version, from, states)
    }
}
