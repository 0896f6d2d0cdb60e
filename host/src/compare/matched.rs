//! Which row of one side belongs to which of the other, by their keys.

use std::cmp::Ordering;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::ArrowError;
use speed_layer_core::key::EncodedKeys;

/// Pairs of rows of the same key, and the rows that have none.
pub struct Matched {
    pairs: Pairs,
    /// Rising by key.
    pub only_old: Vec<u32>,
    /// Rising by key.
    pub only_new: Vec<u32>,
}

enum Pairs {
    /// Both sides have the same keys in the same order: so many.
    AsTheyAre(usize),
    Picked {
        old: UInt32Array,
        new: UInt32Array,
    },
}

impl Matched {
    pub fn of(old: &EncodedKeys, new: &EncodedKeys) -> Self {
        if old.len() == new.len() && (0..old.len()).all(|row| old.get(row) == new.get(row)) {
            return Self { pairs: Pairs::AsTheyAre(old.len()), only_old: Vec::new(), only_new: Vec::new() };
        }
        let (by_old, by_new) = (by_key(old), by_key(new));
        let (mut left, mut right) = (by_old.into_iter().peekable(), by_new.into_iter().peekable());
        let (mut pairs, mut only_old, mut only_new) = ((Vec::new(), Vec::new()), Vec::new(), Vec::new());
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some(&ours), Some(&theirs)) => old.get(ours as usize).cmp(new.get(theirs as usize)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            match order {
                Ordering::Less => only_old.extend(left.next()),
                Ordering::Greater => only_new.extend(right.next()),
                Ordering::Equal => {
                    pairs.0.extend(left.next());
                    pairs.1.extend(right.next());
                }
            }
        }
        let pairs = Pairs::Picked { old: pairs.0.into(), new: pairs.1.into() };
        Self { pairs, only_old, only_new }
    }

    /// Pairs.
    pub fn len(&self) -> usize {
        match &self.pairs {
            Pairs::AsTheyAre(rows) => *rows,
            Pairs::Picked { old, .. } => old.len(),
        }
    }

    /// The old row of a pair.
    pub fn old_row(&self, pair: usize) -> usize {
        match &self.pairs {
            Pairs::AsTheyAre(_) => pair,
            Pairs::Picked { old, .. } => old.value(pair) as usize,
        }
    }

    /// A column of the old side, one value a pair.
    pub fn old_rows(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match &self.pairs {
            Pairs::AsTheyAre(_) => Ok(column.clone()),
            Pairs::Picked { old, .. } => arrow_select::take::take(column, old, None),
        }
    }

    /// A column of the new side, one value a pair.
    pub fn new_rows(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match &self.pairs {
            Pairs::AsTheyAre(_) => Ok(column.clone()),
            Pairs::Picked { new, .. } => arrow_select::take::take(column, new, None),
        }
    }
}

/// The rows by their keys; those of one key in their order.
fn by_key(keys: &EncodedKeys) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..keys.len() as u32).collect();
    rows.sort_by(|&a, &b| keys.get(a as usize).cmp(keys.get(b as usize)));
    rows
}
