//! The usual accumulators, each a loop over one column at a time.
//!
//! All of them ignore nulls but the count of rows. The ends are ordered by event time,
//! partition, offset and ordinal, never by arrival, so a replay or another parallelism gives
//! the same. Sums of floats are plain sums: their last bits may depend on the order.

mod count;
mod ends;
mod extremes;
mod sums;

pub use count::Count;
pub use ends::{First, Last};
pub use extremes::{Max, Min};
pub use sums::{Avg, SumF64, SumS64};

use crate::columns::{Value, View};
use crate::nullable::Nullable;
use crate::types::{Column, Failure};

/// Takes every state of `right` that has a value into `left`.
fn merge_values<T: Value>(
    left: &mut Column,
    right: &Column,
    combine: impl Fn(T, T) -> T,
) -> Result<(), Failure> {
    let right = View::<T>::of(right)?;
    let mut state = Nullable::of(left)?;
    for group in 0..right.values().len() {
        if let Some(value) = right.get(group) {
            state.fold(group, value, &combine);
        }
    }
    state.settle();
    Ok(())
}
