//! Where the letters of a job are kept, and reading them from there.

use std::cmp::Reverse;
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use speed_layer_core::commit::OutputId;
use speed_layer_core::records::Records;
use speed_layer_store::kept_letters::{KeptLetter, letter_files, letters_of};

use super::filter::Filter;
use super::headers::letter_of;
use crate::config::{JobSpec, SourceSpec};
use crate::job::replay::{KafkaTopic, RereadTopic, Stretch, read, store};

/// A place with letters.
#[derive(Debug, Clone)]
pub enum Kept {
    /// Parquet files in a folder, or below it.
    Folder(PathBuf),
    /// A topic; a source over it.
    Topic { source: Box<SourceSpec>, job: String, is_late: bool },
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
        let sinks = &spec.sides;
        let (output, topic) = match is_late {
            true => (OutputId::Late, &sinks.late),
            false => (OutputId::DeadLetters, &sinks.dead_letters),
        };
        if let Some(topic) = topic {
            let source = Box::new(SourceSpec { topic: topic.clone(), ..spec.source.clone() });
            return Ok(Self::Topic { source, job: spec.name.clone(), is_late });
        }
        let store = store(spec)?;
        let root = store.layout().root(&output).context("the job has no output")?;
        Ok(Self::Folder(root.to_owned()))
    }

    /// Gives every letter to `take`: of files those of the earliest commit first, within one
    /// by partition and offset; of a topic in the order of each of its partitions.
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
            Self::Topic { source, job, is_late } => {
                let topic = KafkaTopic::of(source, job, true)?;
                let ends = topic.facts()?.partitions.into_iter();
                let stretch =
                    Stretch::new(&source.topic, ends.map(|of| (of.partition, of.log_start..of.last_stable)));
                let mut give = |records: &Records| {
                    let letters = (0..records.len()).filter_map(|row| letter_of(records, row, job));
                    letters.filter(|letter| letter.missed.is_some() == *is_late).try_for_each(&mut *take)
                };
                read(&topic, &stretch, &mut give).map(|_| ())
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
            Order::Newest => {
                self.numbered.sort_by_key(|(number, letter)| Reverse((letter.epoch, *number)));
            }
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
