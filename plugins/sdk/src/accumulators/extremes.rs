//! The greatest and the least value.

use std::marker::PhantomData;

use super::merge_values;
use crate::aggregate::{Closing, Pairs};
use crate::columns::{Value, View};
use crate::nullable::Nullable;
use crate::plan::{Accumulator, Input, Notes, StateColumn};
use crate::schema::field;
use crate::types::{Column, Failure, Field};

/// The greatest value of a column; NaN is greater than all others. One word of state.
pub type Max<T> = Extreme<T, true>;

/// The least value of a column; NaN only if there is nothing else. One word of state.
pub type Min<T> = Extreme<T, false>;

/// What [`Max`] and [`Min`] are.
#[derive(Clone, Debug)]
pub struct Extreme<T, const GREATEST: bool> {
    column: String,
    of: PhantomData<T>,
}

impl<T: Value, const GREATEST: bool> Extreme<T, GREATEST> {
    /// Over the input's column of this name.
    pub fn of(column: &str) -> Self {
        Extreme { column: column.to_owned(), of: PhantomData }
    }

    #[inline]
    fn better(state: T, value: T) -> T {
        let is_better = if GREATEST { value.exceeds(state) } else { state.exceeds(value) };
        if is_better { value } else { state }
    }
}

impl<T: Value, const GREATEST: bool> Accumulator for Extreme<T, GREATEST> {
    fn inputs(&self) -> Vec<Input> {
        vec![Input::Column(self.column.clone(), T::TYPE)]
    }

    fn state(&self) -> Vec<StateColumn> {
        vec![StateColumn::null("", T::TYPE, T::into_data(vec![T::default()]))]
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![field(name, T::TYPE)]
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        Nullable::of(&mut state[0])?.fold_rows(pairs, View::of(inputs[0])?, Self::better);
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        merge_values(&mut left[0], &right[0], Self::better)
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, _: &mut Notes) -> Result<Vec<Column>, Failure> {
        Ok(state.to_vec())
    }
}
