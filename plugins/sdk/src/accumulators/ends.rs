//! The first and the last value by event time, partition, offset and ordinal.

use std::marker::PhantomData;

use crate::aggregate::{Closing, Pairs};
use crate::columns::{Value, View};
use crate::nullable::{Nullable, values_mut};
use crate::plan::{Accumulator, Input, Notes, StateColumn};
use crate::schema::field;
use crate::types::{Column, ColumnData, DataType, Failure, Field, Need};

/// The value of the earliest row that has one. Four words of state.
pub type First<T> = End<T, true>;

/// The value of the latest row that has one. Four words of state.
pub type Last<T> = End<T, false>;

/// What [`First`] and [`Last`] are.
#[derive(Clone, Debug)]
pub struct End<T, const FIRST: bool> {
    column: String,
    of: PhantomData<T>,
}

/// A row's place in the order of all rows; no two rows have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    event_time_us: i64,
    partition: i32,
    offset: i64,
    ordinal: i32,
}

/// In place of a row's number.
const NO_ROW: u32 = u32::MAX;

/// Where rows are, or where the rows are that states hold the values of.
struct Places<'a> {
    event_time_us: &'a [i64],
    partition: &'a [i32],
    offset: &'a [i64],
    ordinal: &'a [i32],
}

impl<'a> Places<'a> {
    fn of(event_time: &'a Column, rest: [&'a Column; 3]) -> Result<Self, Failure> {
        Ok(Places {
            event_time_us: View::of(event_time)?.values(),
            partition: View::of(rest[0])?.values(),
            offset: View::of(rest[1])?.values(),
            ordinal: View::of(rest[2])?.values(),
        })
    }

    /// Whether a row is nearer to the end than another. The event time alone decides nearly
    /// always.
    #[inline]
    fn is_nearer<const FIRST: bool>(&self, row: usize, held: usize) -> bool {
        let (time_us, held_us) = (self.event_time_us[row], self.event_time_us[held]);
        if time_us == held_us {
            return is_nearer::<FIRST>(self.at(row), self.at(held));
        }
        if FIRST { time_us < held_us } else { time_us > held_us }
    }

    /// The row nearest to the end of each group, [`NO_ROW`] for a group without a value.
    fn nearest<const FIRST: bool>(
        &self,
        pairs: Pairs<'_>,
        values: View<'_, impl Value>,
        groups: usize,
    ) -> Vec<u32> {
        let mut nearest = vec![NO_ROW; groups];
        for (row, group) in pairs.iter().filter(|&(row, _)| values.is_valid(row)) {
            let held = nearest[group];
            if held == NO_ROW || self.is_nearer::<FIRST>(row, held as usize) {
                nearest[group] = row as u32;
            }
        }
        nearest
    }

    fn at(&self, row: usize) -> Place {
        Place {
            event_time_us: self.event_time_us[row],
            partition: self.partition[row],
            offset: self.offset[row],
            ordinal: self.ordinal[row],
        }
    }
}

/// The states, to change: values and the places of their rows.
struct Ends<'a, T, const FIRST: bool> {
    value: Nullable<'a, T>,
    event_time_us: &'a mut [i64],
    partition: &'a mut [i32],
    offset: &'a mut [i64],
    ordinal: &'a mut [i32],
}

impl<'a, T: Value, const FIRST: bool> Ends<'a, T, FIRST> {
    fn of(state: &'a mut [Column]) -> Result<Self, Failure> {
        let [value, event_time, partition, offset, ordinal] = state else {
            return Err(Failure::StopJob("the state of an end has five columns".into()));
        };
        Ok(Ends {
            value: Nullable::of(value)?,
            event_time_us: values_mut(&mut event_time.data)?,
            partition: values_mut(&mut partition.data)?,
            offset: values_mut(&mut offset.data)?,
            ordinal: values_mut(&mut ordinal.data)?,
        })
    }

    /// Takes a value if its row is nearer to the end than that of the state.
    fn offer(&mut self, group: usize, value: T, places: &Places<'_>, row: usize) {
        let place = places.at(row);
        if self.value.has(group) && !is_nearer::<FIRST>(place, self.place(group)) {
            return;
        }
        self.value.set(group, value);
        self.event_time_us[group] = place.event_time_us;
        self.partition[group] = place.partition;
        self.offset[group] = place.offset;
        self.ordinal[group] = place.ordinal;
    }

    fn place(&self, group: usize) -> Place {
        Place {
            event_time_us: self.event_time_us[group],
            partition: self.partition[group],
            offset: self.offset[group],
            ordinal: self.ordinal[group],
        }
    }
}

fn is_nearer<const FIRST: bool>(place: Place, held: Place) -> bool {
    if FIRST { place < held } else { place > held }
}

impl<T: Value, const FIRST: bool> End<T, FIRST> {
    /// Over the input's column of this name.
    pub fn of(column: &str) -> Self {
        End { column: column.to_owned(), of: PhantomData }
    }
}

impl<T: Value, const FIRST: bool> Accumulator for End<T, FIRST> {
    fn inputs(&self) -> Vec<Input> {
        let places = [Need::EventTime, Need::Partition, Need::Offset, Need::Ordinal].map(Input::Host);
        [Input::Column(self.column.clone(), T::TYPE)].into_iter().chain(places).collect()
    }

    fn state(&self) -> Vec<StateColumn> {
        vec![
            StateColumn::null("value", T::TYPE, T::into_data(vec![T::default()])),
            StateColumn::from("event_time", DataType::TimestampUs, ColumnData::TimestampUs(vec![0])),
            StateColumn::from("partition", DataType::S32, ColumnData::S32(vec![0])),
            StateColumn::from("offset", DataType::S64, ColumnData::S64(vec![0])),
            StateColumn::from("ordinal", DataType::S32, ColumnData::S32(vec![0])),
        ]
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![field(name, T::TYPE)]
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        let mut ends = Ends::<T, FIRST>::of(state)?;
        let places = Places::of(inputs[1], [inputs[2], inputs[3], inputs[4]])?;
        let values = View::<T>::of(inputs[0])?;
        let nearest = places.nearest::<FIRST>(pairs, values, ends.event_time_us.len());
        for (group, &row) in nearest.iter().enumerate().filter(|&(_, &row)| row != NO_ROW) {
            ends.offer(group, values.values()[row as usize], &places, row as usize);
        }
        ends.value.settle();
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        let mut ends = Ends::<T, FIRST>::of(left)?;
        let values = View::<T>::of(&right[0])?;
        let places = Places::of(&right[1], [&right[2], &right[3], &right[4]])?;
        for group in 0..values.values().len() {
            if let Some(value) = values.get(group) {
                ends.offer(group, value, &places, group);
            }
        }
        ends.value.settle();
        Ok(())
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, _: &mut Notes) -> Result<Vec<Column>, Failure> {
        Ok(vec![state[0].clone()])
    }
}
