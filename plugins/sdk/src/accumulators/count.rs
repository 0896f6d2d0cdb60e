//! The count of rows, nulls included.

use crate::aggregate::{Closing, Pairs};
use crate::columns::View;
use crate::nullable::values_mut;
use crate::plan::{Accumulator, Input, Notes, StateColumn};
use crate::schema::required;
use crate::types::{Column, ColumnData, DataType, Failure, Field};

/// Counts every row of the group. One word of state.
#[derive(Clone, Copy, Debug)]
pub struct Count;

impl Accumulator for Count {
    fn inputs(&self) -> Vec<Input> {
        vec![]
    }

    fn state(&self) -> Vec<StateColumn> {
        vec![StateColumn::from("", DataType::S64, ColumnData::S64(vec![0]))]
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![required(name, DataType::S64)]
    }

    fn update(&self, _: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        let counts = values_mut::<i64>(&mut state[0].data)?;
        pairs.iter().for_each(|(_, group)| counts[group] += 1);
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        let counts = values_mut::<i64>(&mut left[0].data)?;
        let others = View::<i64>::of(&right[0])?;
        counts.iter_mut().zip(others.values()).for_each(|(count, other)| *count += other);
        Ok(())
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, _: &mut Notes) -> Result<Vec<Column>, Failure> {
        Ok(state.to_vec())
    }
}
