//! Sums, and the mean.
//!
//! A sum of integers is held in 128 bits, so it cannot overflow while rows come in; one that
//! does not fit 64 at the end is null and noted. A sum of nulls alone is null.

use super::merge_values;
use crate::aggregate::{Closing, Pairs};
use crate::columns::{Builder, View, bit, wrong_column};
use crate::nullable::{Nullable, Presence, values_mut};
use crate::plan::{Accumulator, Input, Notes, StateColumn};
use crate::schema::field;
use crate::types::{Column, ColumnData, DataType, DecimalShape, Failure, Field};

/// The kind of the note for a sum that does not fit 64 bits.
pub const SUM_OVERFLOW: &str = "sum-overflow";

/// The sum of an f64 column. One word of state.
#[derive(Clone, Debug)]
pub struct SumF64 {
    column: String,
}

impl SumF64 {
    /// Over the input's column of this name.
    pub fn of(column: &str) -> Self {
        SumF64 { column: column.to_owned() }
    }
}

impl Accumulator for SumF64 {
    fn inputs(&self) -> Vec<Input> {
        vec![Input::Column(self.column.clone(), DataType::F64)]
    }

    fn state(&self) -> Vec<StateColumn> {
        vec![StateColumn::null("", DataType::F64, ColumnData::F64(vec![0.0]))]
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![field(name, DataType::F64)]
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        Nullable::<f64>::of(&mut state[0])?.fold_rows(pairs, View::of(inputs[0])?, |a, b| a + b);
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        merge_values::<f64>(&mut left[0], &right[0], |a, b| a + b)
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, _: &mut Notes) -> Result<Vec<Column>, Failure> {
        Ok(state.to_vec())
    }
}

/// The mean of an f64 column: its sum by its count of values. Two words of state.
#[derive(Clone, Debug)]
pub struct Avg {
    column: String,
}

impl Avg {
    /// Over the input's column of this name.
    pub fn of(column: &str) -> Self {
        Avg { column: column.to_owned() }
    }
}

/// The two columns of a mean's state.
fn sum_and_count(state: &mut [Column]) -> Result<(&mut [f64], &mut [i64]), Failure> {
    match state {
        [sum, count] => Ok((values_mut(&mut sum.data)?, values_mut(&mut count.data)?)),
        _ => Err(Failure::StopJob("the state of a mean has two columns".into())),
    }
}

impl Accumulator for Avg {
    fn inputs(&self) -> Vec<Input> {
        vec![Input::Column(self.column.clone(), DataType::F64)]
    }

    fn state(&self) -> Vec<StateColumn> {
        vec![
            StateColumn::from("sum", DataType::F64, ColumnData::F64(vec![0.0])),
            StateColumn::from("count", DataType::S64, ColumnData::S64(vec![0])),
        ]
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![field(name, DataType::F64)]
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        let (sums, counts) = sum_and_count(state)?;
        pairs.each_value(View::<f64>::of(inputs[0])?, |_, group, value| {
            sums[group] += value;
            counts[group] += 1;
        });
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        let (sums, counts) = sum_and_count(left)?;
        sums.iter_mut().zip(View::<f64>::of(&right[0])?.values()).for_each(|(sum, other)| *sum += other);
        counts
            .iter_mut()
            .zip(View::<i64>::of(&right[1])?.values())
            .for_each(|(count, other)| *count += other);
        Ok(())
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, _: &mut Notes) -> Result<Vec<Column>, Failure> {
        let (sums, counts) = (View::<f64>::of(&state[0])?, View::<i64>::of(&state[1])?);
        let mut means = Builder::with_capacity(sums.values().len());
        for (sum, &count) in sums.values().iter().zip(counts.values()) {
            means.push((count > 0).then(|| sum / count as f64));
        }
        Ok(vec![means.finish()])
    }
}

/// The sum of an s64 column. Two words of state.
#[derive(Clone, Debug)]
pub struct SumS64 {
    column: String,
}

impl SumS64 {
    /// Over the input's column of this name.
    pub fn of(column: &str) -> Self {
        SumS64 { column: column.to_owned() }
    }
}

/// Sums of 128 bits, to change: two words a group, the low one first.
struct WideSums<'a> {
    words: &'a mut [u64],
    presence: Presence<'a>,
}

impl<'a> WideSums<'a> {
    fn of(column: &'a mut Column) -> Result<Self, Failure> {
        match &mut column.data {
            ColumnData::Decimal128(words) => Ok(WideSums { words, presence: Presence(&mut column.validity) }),
            other => Err(wrong_column("decimal128", other)),
        }
    }

    #[inline]
    fn add(&mut self, group: usize, value: i128) {
        let words = &mut self.words[2 * group..2 * group + 2];
        let sum = if self.presence.has(group) { wide(words[0], words[1]) + value } else { value };
        words[0] = sum as u64;
        words[1] = (sum >> 64) as u64;
        self.presence.set(group);
    }

    fn settle(mut self) {
        self.presence.settle(self.words.len() / 2);
    }
}

fn wide(low: u64, high: u64) -> i128 {
    (i128::from(high as i64) << 64) | i128::from(low)
}

/// Calls with every group that has a sum.
fn each_sum(column: &Column, mut call: impl FnMut(usize, Option<i128>)) -> Result<(), Failure> {
    let ColumnData::Decimal128(words) = &column.data else {
        return Err(wrong_column("decimal128", &column.data));
    };
    for (group, pair) in words.chunks_exact(2).enumerate() {
        let is_there = column.validity.as_ref().is_none_or(|bits| bit(bits, group));
        call(group, is_there.then(|| wide(pair[0], pair[1])));
    }
    Ok(())
}

impl Accumulator for SumS64 {
    fn inputs(&self) -> Vec<Input> {
        vec![Input::Column(self.column.clone(), DataType::S64)]
    }

    fn state(&self) -> Vec<StateColumn> {
        let data_type = DataType::Decimal128(DecimalShape { precision: 38, scale: 0 });
        vec![StateColumn::null("", data_type, ColumnData::Decimal128(vec![0, 0]))]
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![field(name, DataType::S64)]
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        let mut sums = WideSums::of(&mut state[0])?;
        pairs.each_value(View::<i64>::of(inputs[0])?, |_, group, value| sums.add(group, value.into()));
        sums.settle();
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        let mut sums = WideSums::of(&mut left[0])?;
        each_sum(&right[0], |group, sum| {
            if let Some(sum) = sum {
                sums.add(group, sum);
            }
        })?;
        sums.settle();
        Ok(())
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, notes: &mut Notes) -> Result<Vec<Column>, Failure> {
        let mut totals = Builder::<i64>::default();
        each_sum(&state[0], |group, sum| {
            let total = sum.and_then(|sum| i64::try_from(sum).ok());
            if let (Some(sum), None) = (sum, total) {
                let message =
                    format!("the sum of {} is {sum}, which does not fit 64 bits: null instead", self.column);
                notes.add(group, SUM_OVERFLOW, &message);
            }
            totals.push(total);
        })?;
        Ok(vec![totals.finish()])
    }
}
