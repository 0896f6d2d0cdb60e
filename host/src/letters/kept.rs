//! Where the letters of a job are kept, and reading them from there.

use std::cmp::Reverse;
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use speed_layer_core::commit::OutputId;
use speed_layer_store::kept_letters::{KeptLetter, letter_files, letters_of};

use super::filter::Filter;
use crate::config::JobSpec;
use crate::job::replay::store;

/// A place with letters.
#[derive(Debug, Clone)]
pub enum Kept {
    /// Parquet files in a folder, or below it.
    Folder(PathBuf),
}

/// Which letters come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Those of the latest commit, the highest partitions and offsets first
    Newest,
    /// By partition and offset, the lowest first
    Offset,
}

/// The first of the letters that were asked for.
#[derive(Debug, Default)]
pub struct Selection {
    pub letters: Vec<KeptLetter>,
    /// So many there are in all.
    pub matching: u64,
}

impl Kept {
    /// Where a job keeps its dead letters, or its late rows.
    ///
    /// # Errors
    /// Its output has no name that another could be named after.
    pub fn of(spec: &JobSpec, is_late: bool) -> anyhow::Result<Self> {
        let output = if is_late { OutputId::Late } else { OutputId::DeadLetters };
        let store = store(spec)?;
        let root = store.layout().root(&output).context("the job has no output")?;
        Ok(Self::Folder(root.to_owned()))
    }

    /// Gives every letter to `take`, those of the earliest commit first, within one by
    /// partition and offset.
    ///
    /// # Errors
    /// One cannot be read; that of `take`.
    pub fn each(&self, take: &mut dyn FnMut(KeptLetter) -> anyhow::Result<()>) -> anyhow::Result<()> {
        match self {
            Self::Folder(folder) => {
                for file in letter_files(folder)? {
                    letters_of(&file)?.into_iter().try_for_each(&mut *take)?;
                }
                Ok(())
            }
        }
    }

    /// The first `limit` letters that the filter takes, in this order.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub fn select(&self, filter: &Filter, order: Order, limit: usize) -> anyhow::Result<Selection> {
        let mut first = First { order, limit, numbered: Vec::new() };
        let mut matching = 0;
        self.each(&mut |letter| {
            if filter.takes(&letter) {
                first.push(matching, letter);
                matching += 1;
            }
            Ok(())
        })?;
        Ok(Selection { letters: first.into_letters(), matching })
    }
}

/// Keeps the first few of many in a bounded place.
struct First {
    order: Order,
    limit: usize,
    /// With the numbers in which they came.
    numbered: Vec<(u64, KeptLetter)>,
}

impl First {
    fn push(&mut self, number: u64, letter: KeptLetter) {
        self.numbered.push((number, letter));
        if self.numbered.len() > self.limit.saturating_mul(2).max(64) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        match self.order {
            Order::Newest => self.numbered.sort_by_key(|(number, _)| Reverse(*number)),
            Order::Offset => {
                self.numbered.sort_by_key(|(number, letter)| (letter.partition, letter.offset, *number));
            }
        }
        self.numbered.truncate(self.limit);
    }

    fn into_letters(mut self) -> Vec<KeptLetter> {
        self.cut();
        self.numbered.into_iter().map(|(_, letter)| letter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(order: Order, limit: usize, expected: &[(i32, i64)]) {
        let mut first = First { order, limit, numbered: Vec::new() };
        for number in 0..300_u64 {
            let (partition, offset) = ((number % 3) as i32, (number * 7 % 300) as i64);
            first.push(number, KeptLetter { partition, offset, ..KeptLetter::default() });
            assert!(first.numbered.len() <= 64.max(2 * limit) + 1);
        }
        let found: Vec<_> =
            first.into_letters().iter().map(|letter| (letter.partition, letter.offset)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_first_of_many_are_those_of_all_sorted() {
        check(Order::Newest, 3, &[(2, 293), (1, 286), (0, 279)]);
        check(Order::Offset, 4, &[(0, 0), (0, 3), (0, 6), (0, 9)]);
    }
}
