//! A column of states that begin as null: the first value is taken, later ones are combined
//! with what is there.
//!
//! It changes the host's column in place and leaves the validity out once every group has a
//! value, which is what makes the next call quick.

use crate::aggregate::Pairs;
use crate::columns::{Value, View, bit, wrong_column};
use crate::schema::type_name;
use crate::types::{Column, ColumnData, Failure};

/// Which groups have a value, to change.
#[derive(Debug)]
pub(crate) struct Presence<'a>(pub(crate) &'a mut Option<Vec<u8>>);

impl Presence<'_> {
    #[inline]
    pub(crate) fn has(&self, group: usize) -> bool {
        self.0.as_ref().is_none_or(|bits| bit(bits, group))
    }

    #[inline]
    pub(crate) fn set(&mut self, group: usize) {
        if let Some(bits) = self.0 {
            bits[group / 8] |= 1 << (group % 8);
        }
    }

    /// Leaves the validity out if all groups have a value.
    pub(crate) fn settle(&mut self, groups: usize) {
        let values = |bits: &Vec<u8>| bits.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
        if self.0.as_ref().is_some_and(|bits| values(bits) == groups) {
            *self.0 = None;
        }
    }
}

/// One nullable state column, to change.
#[derive(Debug)]
pub struct Nullable<'a, T> {
    values: &'a mut [T],
    presence: Presence<'a>,
}

impl<'a, T: Value> Nullable<'a, T> {
    /// # Errors
    /// Stops the job when the column is of another type than `T`.
    pub fn of(column: &'a mut Column) -> Result<Self, Failure> {
        Ok(Nullable { values: values_mut(&mut column.data)?, presence: Presence(&mut column.validity) })
    }

    /// Whether a group has had a value.
    #[inline]
    pub fn has(&self, group: usize) -> bool {
        self.presence.has(group)
    }

    /// The state of a group; none before its first value.
    #[inline]
    pub fn get(&self, group: usize) -> Option<T> {
        self.presence.has(group).then(|| self.values[group])
    }

    /// Replaces the state of a group.
    #[inline]
    pub fn set(&mut self, group: usize, value: T) {
        self.values[group] = value;
        self.presence.set(group);
    }

    /// Takes a value in: as it is when it is the first one, else combined with the state.
    #[inline]
    pub fn fold(&mut self, group: usize, value: T, combine: impl Fn(T, T) -> T) {
        let next = self.get(group).map_or(value, |state| combine(state, value));
        self.set(group, next);
    }

    /// Takes the value of every row that has one into the state of its group.
    #[inline]
    pub fn fold_rows(mut self, pairs: Pairs<'_>, column: View<'_, T>, combine: impl Fn(T, T) -> T) {
        if self.presence.0.is_none() {
            let states = self.values;
            pairs.each_value(column, |_, group, value| states[group] = combine(states[group], value));
            return;
        }
        pairs.each_value(column, |_, group, value| self.fold(group, value, &combine));
        self.settle();
    }

    /// Leaves the validity out if every group has a value by now. To be called last.
    pub fn settle(mut self) {
        self.presence.settle(self.values.len());
    }
}

/// The values of a state column without nulls, to change.
///
/// # Errors
/// Stops the job when the column is of another type than `T`.
pub fn values_mut<T: Value>(data: &mut ColumnData) -> Result<&mut [T], Failure> {
    if T::slice(data).is_none() {
        return Err(wrong_column(&type_name(T::TYPE), data));
    }
    Ok(T::slice_mut(data).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold_into(validity: Option<Vec<u8>>, group: usize) -> Column {
        let mut column = Column { validity, data: ColumnData::S64(vec![5, 7]) };
        let mut state = Nullable::of(&mut column).unwrap();
        state.fold(group, 10i64, |a, b| a + b);
        state.settle();
        column
    }

    #[test]
    fn the_first_value_replaces_what_a_null_holds_and_later_ones_are_combined() {
        let first = fold_into(Some(vec![0b01]), 1);
        assert_eq!(first, Column { validity: None, data: ColumnData::S64(vec![5, 10]) });
        let later = fold_into(Some(vec![0b01]), 0);
        assert_eq!(later, Column { validity: Some(vec![0b01]), data: ColumnData::S64(vec![15, 7]) });
        let full = fold_into(None, 1);
        assert_eq!(full, Column { validity: None, data: ColumnData::S64(vec![5, 17]) });
    }
}
