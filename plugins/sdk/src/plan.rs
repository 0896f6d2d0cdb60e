//! A plan: the accumulators of an aggregate, laid out as the contract's columns.
//!
//! It shares one input column among all accumulators that read it, gives each its own
//! columns of the state, and runs them one after the other over a whole batch. It knows
//! nothing of what an accumulator does.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::aggregate::{AggregateDescription, Closing, Finished, Pairs, StateDescription};
use crate::rejects::RejectsBuilder;
use crate::schema::{names, require};
use crate::types::{Batch, Column, ColumnData, DataType, Failure, Field, Need, Refusal, Schema};

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
    input: Schema,
    needs: Vec<Need>,
    state: Schema,
    identity: Batch,
    output: Schema,
    parts: Vec<Part>,
}

impl Plan {
    /// Without accumulators; `version` is the state's, and rises whenever the meaning or the
    /// shape of the state changes.
    pub fn new(version: u32, input: &Schema) -> Self {
        let none = || Schema { fields: vec![] };
        Plan {
            version,
            input: input.clone(),
            needs: vec![],
            state: none(),
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
        let inputs = accumulator.inputs();
        let inputs =
            inputs.iter().map(|input| self.input_number(input, output_name)).collect::<Result<_, _>>()?;
        let begin = self.state.fields.len();
        for column in accumulator.state() {
            self.add_state(state_name, column);
        }
        self.output.fields.extend(accumulator.outputs(output_name));
        let state = begin..self.state.fields.len();
        self.parts.push(Part { inputs, state, accumulator: Box::new(accumulator) });
        Ok(())
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

    /// States of the same version and columns as they are.
    ///
    /// # Errors
    /// `bad-input` for all others, naming both versions and both sets of columns.
    pub fn take_over(&self, from_version: u32, from: &Schema, states: Batch) -> Result<Batch, Refusal> {
        if from_version == self.version && *from == self.state {
            return Ok(states);
        }
        Err(Refusal::BadInput(format!(
            "the states are of version {from_version} with the columns {}; this plugin keeps version {} with \
             the columns {} and cannot read them: start a job of another name, or use a plugin that migrates them",
            names(from),
            self.version,
            names(&self.state),
        )))
    }
}
