//! Which letters stand for a record that is to be written again. Decides over plain
//! values, one letter after the other; writes nothing.

use std::collections::BTreeSet;

use hashbrown::HashSet;
use serde::Serialize;
use speed_layer_store::kept_letters::KeptLetter;

/// Why a letter's record is not written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOut {
    /// A tombstone, or a note about a group: there is no value to be tried again.
    NoValue,
    /// One row of a record whose other rows may be counted.
    LaterStage,
    /// Of another topic than the one that the job reads.
    OtherTopic,
    /// The topic has no such partition.
    PartitionGone,
}

impl LeftOut {
    /// In words.
    pub fn why(self) -> &'static str {
        match self {
            Self::NoValue => "there is no value: a tombstone, or a note about a group",
            Self::LaterStage => {
                "one row of a record whose other rows, or other aggregates, may have it counted: --whole-records writes \
                 such records again all the same"
            }
            Self::OtherTopic => "of another topic than the job's",
            Self::PartitionGone => "the topic has no such partition any more",
        }
    }
}

/// What is to be done about a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Replay,
    /// By an earlier replay.
    AlreadyReplayed,
    /// Another letter of it came before.
    SameRecord,
    LeftOut(LeftOut),
}

/// A record's partition and offset.
pub type RecordId = (i32, i64);

/// Judges the letters of one replay, in the order in which they come.
pub struct Chooser<'a> {
    pub topic: &'a str,
    pub partitions: BTreeSet<i32>,
    pub whole_records: bool,
    /// What the ledger holds.
    pub replayed: HashSet<RecordId>,
    chosen: HashSet<RecordId>,
}

impl<'a> Chooser<'a> {
    pub fn new(
        topic: &'a str,
        partitions: BTreeSet<i32>,
        whole_records: bool,
        replayed: HashSet<RecordId>,
    ) -> Self {
        Self { topic, partitions, whole_records, replayed, chosen: HashSet::new() }
    }

    pub fn judge(&mut self, letter: &KeptLetter) -> Choice {
        let record = (letter.partition, letter.offset);
        if let Some(why) = self.obstacle(letter) {
            Choice::LeftOut(why)
        } else if self.replayed.contains(&record) {
            Choice::AlreadyReplayed
        } else if !self.partitions.contains(&letter.partition) {
            Choice::LeftOut(LeftOut::PartitionGone)
        } else if !self.chosen.insert(record) {
            Choice::SameRecord
        } else {
            Choice::Replay
        }
    }

    fn obstacle(&self, letter: &KeptLetter) -> Option<LeftOut> {
        if letter.topic != self.topic {
            Some(LeftOut::OtherTopic)
        } else if letter.value.is_none() || is_of_a_group(letter) {
            Some(LeftOut::NoValue)
        } else if letter.stage != "parse" && !self.whole_records {
            Some(LeftOut::LaterStage)
        } else {
            None
        }
    }
}

/// A group that its plugin failed on: the value is its state, and no record.
fn is_of_a_group(letter: &KeptLetter) -> bool {
    letter.stage == "aggregate" && letter.kind.starts_with("group-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(partition: i32, offset: i64, stage: &str) -> KeptLetter {
        KeptLetter {
            topic: "t".into(),
            partition,
            offset,
            stage: stage.into(),
            value: Some(Vec::new()),
            ..KeptLetter::default()
        }
    }

    fn check(whole_records: bool, letters: &[(KeptLetter, Choice)]) {
        let mut chooser = Chooser::new("t", [0, 1].into(), whole_records, [(0, 5), (7, 5)].into());
        for (letter, expected) in letters {
            assert_eq!(chooser.judge(letter), *expected, "{letter:?}");
        }
    }

    #[test]
    fn each_record_is_chosen_once_and_what_stands_for_no_whole_record_is_left_out() {
        let without_value = KeptLetter { value: None, ..letter(0, 6, "parse") };
        let of_another = KeptLetter { topic: "u".into(), ..letter(0, 6, "parse") };
        check(
            false,
            &[
                (letter(0, 4, "parse"), Choice::Replay),
                (letter(1, 4, "parse"), Choice::Replay),
                (letter(0, 4, "parse"), Choice::SameRecord),
                (letter(0, 5, "parse"), Choice::AlreadyReplayed),
                (letter(7, 5, "parse"), Choice::AlreadyReplayed),
                (letter(7, 6, "parse"), Choice::LeftOut(LeftOut::PartitionGone)),
                (letter(0, 6, "clock"), Choice::LeftOut(LeftOut::LaterStage)),
                (letter(0, 5, "aggregate"), Choice::LeftOut(LeftOut::LaterStage)),
                (without_value, Choice::LeftOut(LeftOut::NoValue)),
                (of_another, Choice::LeftOut(LeftOut::OtherTopic)),
            ],
        );
    }

    #[test]
    fn whole_records_are_chosen_by_any_of_their_letters() {
        let group = KeptLetter { value: None, ..letter(0, 8, "aggregate") };
        let state = KeptLetter { kind: "group-trapped".into(), ..letter(0, 9, "aggregate") };
        check(
            true,
            &[
                (letter(0, 6, "transform:0"), Choice::Replay),
                (letter(0, 6, "aggregate"), Choice::SameRecord),
                (letter(0, 5, "aggregate"), Choice::AlreadyReplayed),
                (group, Choice::LeftOut(LeftOut::NoValue)),
                (state, Choice::LeftOut(LeftOut::NoValue)),
            ],
        );
    }
}
