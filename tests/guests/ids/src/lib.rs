//! A guest for tests: which records a group was made of. It gives them all, so that whoever knows
//! what was produced can tell a record that is missing from one that was counted twice.
//!
//! Outputs: `count` (s64) and `ids` (utf8), every row's `PARTITION-OFFSET`, sorted, with a space
//! between. A record that was taken in twice stands there twice. The state is one `binary` column of
//! twelve bytes a row, so it grows with every row: not meant for windows of millions. The setting
//! `padding` (0 by default, at most 4,096) makes them so many bytes more, for states of some weight.
//!
//! A text in the built component, which tests write over, makes another one of it for swaps: `plain`;
//! `renamed`, with a state of version 2 that takes over version 1; `failing`, whose every call after
//! the first steps stops.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use std::hint::black_box;

use speed_layer_sdk::columns::bytes_at;
use speed_layer_sdk::config::refusal;
use speed_layer_sdk::prelude::*;

/// Rises whenever the meaning or the shape of the state changes.
const STATE_VERSION: u32 = 1;

/// What the tests look for in the component's bytes; the word behind it is padded by spaces.
static KIND: [u8; 32] = *b"ids guest, kind: plain          ";
const MARK_BYTES: usize = 17;

/// Partition and offset, the highest byte first.
const ID_BYTES: usize = 12;

/// The aggregate; see the crate's own words.
#[derive(Debug)]
pub struct Ids;

impl Aggregate for Ids {
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        let padding = padding(config.number("padding", 0.0)?)?;
        let mut plan = Plan::new(STATE_VERSION, input);
        let ids = RecordIds { padding, fails: kind() == "failing" };
        match kind() {
            "renamed" => {
                plan.add("seen", "ids", ids)?;
                plan.since(2).rename("ids", "seen");
            }
            _ => plan.add("ids", "ids", ids)?,
        }
        Ok(plan)
    }
}

/// The optimiser must not know the text, since it is not yet the last one.
fn kind() -> &'static str {
    let text: &'static [u8; 32] = black_box(&KIND);
    std::str::from_utf8(&text[MARK_BYTES..]).unwrap_or_default().trim_end()
}

export_aggregate!(Ids);

fn padding(wanted: f64) -> Result<usize, Refusal> {
    if (0.0..=4_096.0).contains(&wanted) {
        return Ok(wanted as usize);
    }
    Err(refusal(format!("`padding` has to be from 0 to 4096, not {wanted}")))
}

/// Where every row's record lies.
struct RecordIds {
    /// Bytes after each id that say nothing.
    padding: usize,
    fails: bool,
}

impl RecordIds {
    fn fail(&self) -> Result<(), Failure> {
        if self.fails { Err(Failure::StopJob("it is of the failing kind".into())) } else { Ok(()) }
    }

    /// The ids in a state, in no order.
    fn ids(&self, state: &[u8]) -> Vec<(i32, i64)> {
        state.chunks_exact(ID_BYTES + self.padding).map(id).collect()
    }
}

impl Accumulator for RecordIds {
    fn inputs(&self) -> Vec<Input> {
        vec![Input::Host(Need::Partition), Input::Host(Need::Offset)]
    }

    fn state(&self) -> Vec<StateColumn> {
        let none = VarBytes { offsets: vec![0, 0], data: vec![] };
        vec![StateColumn::from("", DataType::Binary, ColumnData::Binary(none))]
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![required("count", DataType::S64), required(name, DataType::Utf8)]
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        self.fail()?;
        let (partitions, offsets) = (View::<i32>::of(inputs[0])?, View::<i64>::of(inputs[1])?);
        let held = binary(&state[0])?;
        let mut added = vec![Vec::new(); held.offsets.len() - 1];
        for (row, group) in pairs.iter() {
            added[group].extend(partitions.values()[row].to_be_bytes());
            added[group].extend(offsets.values()[row].to_be_bytes());
            added[group].extend(std::iter::repeat_n(0, self.padding));
        }
        state[0] = joined(held, added.iter().map(Vec::as_slice));
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        let right = binary(&right[0])?;
        let rows = 0..right.offsets.len() - 1;
        left[0] = joined(binary(&left[0])?, rows.map(|row| bytes_at(right, row)));
        Ok(())
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, _: &mut Notes) -> Result<Vec<Column>, Failure> {
        self.fail()?;
        let held = binary(&state[0])?;
        let (mut counts, mut texts) = (Builder::<i64>::default(), TextBuilder::default());
        for row in 0..held.offsets.len() - 1 {
            let mut ids = self.ids(bytes_at(held, row));
            ids.sort_unstable();
            counts.push(Some(ids.len() as i64));
            let words: Vec<_> =
                ids.iter().map(|(partition, offset)| format!("{partition}-{offset}")).collect();
            texts.push(Some(&words.join(" ")));
        }
        Ok(vec![counts.finish(), texts.finish()])
    }
}

fn binary(column: &Column) -> Result<&VarBytes, Failure> {
    match &column.data {
        ColumnData::Binary(values) => Ok(values),
        _ => Err(Failure::StopJob("the state of ids is one binary column".into())),
    }
}

/// Row by row, what is held and what is added behind it.
fn joined<'a>(held: &VarBytes, added: impl Iterator<Item = &'a [u8]>) -> Column {
    let mut all = VarBytes { offsets: vec![0], data: Vec::with_capacity(held.data.len()) };
    for (row, added) in added.enumerate() {
        all.data.extend_from_slice(bytes_at(held, row));
        all.data.extend_from_slice(added);
        all.offsets.push(all.data.len() as u32);
    }
    Column { validity: None, data: ColumnData::Binary(all) }
}

fn id(bytes: &[u8]) -> (i32, i64) {
    let number = |bytes: &[u8]| bytes.iter().fold(0_i64, |number, &byte| number << 8 | i64::from(byte));
    let (partition, offset) = bytes[..ID_BYTES].split_at(4);
    (number(partition) as i32, number(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(rows: usize) -> Vec<Column> {
        let none = VarBytes { offsets: vec![0; rows + 1], data: vec![] };
        vec![Column { validity: None, data: ColumnData::Binary(none) }]
    }

    const IDS: RecordIds = RecordIds { padding: 3, fails: false };

    fn updated(rows: &[(i32, i64, u32)], groups: usize) -> Vec<Column> {
        let (mut partitions, mut offsets) = (Builder::<i32>::default(), Builder::<i64>::default());
        rows.iter().for_each(|row| partitions.push(Some(row.0)));
        rows.iter().for_each(|row| offsets.push(Some(row.1)));
        let (partitions, offsets) = (partitions.finish(), offsets.finish());
        let numbers: Vec<u32> = (0..rows.len() as u32).collect();
        let groups_of: Vec<u32> = rows.iter().map(|row| row.2).collect();
        let mut state = state(groups);
        let pairs = Pairs::new(&numbers, &groups_of);
        IDS.update(&[&partitions, &offsets], pairs, &mut state).expect("columns of the right types");
        state
    }

    fn ids(state: &[Column]) -> Vec<Vec<(i32, i64)>> {
        let held = binary(&state[0]).expect("a binary column");
        let rows = 0..held.offsets.len() - 1;
        rows.map(|row| IDS.ids(bytes_at(held, row))).collect()
    }

    #[test]
    fn as_it_is_built_it_is_plain() {
        assert_eq!(kind(), "plain");
    }

    #[test]
    fn every_row_is_kept_with_its_group_also_one_that_came_twice() {
        let state = updated(&[(1, 7, 1), (0, 1 << 40, 0), (1, 7, 1)], 3);
        assert_eq!(ids(&state), [vec![(0, 1 << 40)], vec![(1, 7), (1, 7)], vec![]]);
    }

    #[test]
    fn a_merge_has_the_rows_of_both() {
        let mut left = updated(&[(0, 1, 0)], 2);
        IDS.merge(&mut left, &updated(&[(2, 5, 0), (2, 6, 1)], 2)).expect("columns of the right types");
        assert_eq!(ids(&left), [vec![(0, 1), (2, 5)], vec![(2, 6)]]);
    }
}
