//! The dead letters of groups: of one that a plugin failed on, by name, with its state as the value, in a form that
//! gives every column back (the rows behind it count as aggregated, the group on an account of its own); and of one
//! whose result was cut short.

use speed_layer_core::commit::{Epoch, GivenUp};
use speed_layer_core::group::KeyBytes;
use speed_layer_store::CommitStore;
use speed_layer_store::letters::{DeadLetters, Letter};

use super::Commits;
use crate::job::open_windows::{Closed, GroupId, GroupLetter, OpenWindows};
use crate::stages::EpochContext;

impl<S: CommitStore> Commits<S> {
    /// Writes down what is to be told of an aggregate's groups; how many of them were given up.
    pub(super) fn write_group_letters(
        &mut self,
        index: usize,
        epoch: &EpochContext,
        dead: &mut DeadLetters,
    ) -> anyhow::Result<u64> {
        let letters = self.aggregates[index].open.take_group_letters();
        for letter in &letters {
            self.write_group_letter(index, letter, epoch, dead)?;
        }
        Ok(letters.iter().filter(|letter| !letter.is_late_part).count() as u64)
    }

    fn write_group_letter(
        &self,
        index: usize,
        letter: &GroupLetter,
        epoch: &EpochContext,
        dead: &mut DeadLetters,
    ) -> anyhow::Result<()> {
        let mut stream = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), letter.states.schema_ref())?;
        stream.write(&letter.states)?;
        let states = stream.into_inner()?;
        let told = GroupTold {
            group: &letter.group.to_string(),
            window_start_us: letter.window_start_us,
            from: letter.from,
            kind: &letter.kind,
            message: &letter.message,
            kept: Some((letter.group.as_bytes(), &states)),
        };
        self.tell_of_group(index, &told, epoch, dead);
        Ok(())
    }

    /// Names the groups whose results were cut short; they have no record of their own, so the lowest offset of
    /// their windows stands for them.
    pub(super) fn note_groups(
        &self,
        index: usize,
        closed: &Closed,
        epoch: &EpochContext,
        dead: &mut DeadLetters,
    ) -> u64 {
        let from = closed.lowest_offsets.first().copied().unwrap_or((0, 0));
        for note in &closed.notes {
            let told = GroupTold {
                group: &note.group,
                window_start_us: note.window_start_us,
                from,
                kind: &note.kind,
                message: &note.message,
                kept: None,
            };
            self.tell_of_group(index, &told, epoch, dead);
        }
        closed.notes.len() as u64
    }

    fn tell_of_group(
        &self,
        index: usize,
        told: &GroupTold<'_>,
        epoch: &EpochContext,
        dead: &mut DeadLetters,
    ) {
        let aggregate = &self.aggregates[index];
        let digest = aggregate.plugins.last().map(|plugin| plugin.digest.to_string());
        let GroupTold { group, window_start_us, from: (partition, offset), .. } = *told;
        dead.push(&Letter {
            topic: &self.topic,
            partition,
            offset,
            timestamp_ms: None,
            key: told.kept.map(|(key, _)| key),
            value: told.kept.map(|(_, states)| states),
            kind: told.kind,
            message: &format!("group {group} of the window at {window_start_us} us: {}", told.message),
            stage: "aggregate",
            aggregate: Some(&aggregate.spec.name),
            plugin_digest: digest.as_deref(),
            epoch: Epoch(epoch.epoch),
        });
    }
}

/// What a dead letter says of a group.
struct GroupTold<'a> {
    group: &'a str,
    window_start_us: i64,
    /// Where its window's first record lies.
    from: (i32, i64),
    kind: &'a str,
    message: &'a str,
    /// Its key, and its state as an Arrow stream.
    kept: Option<(&'a [u8], &'a [u8])>,
}

/// The groups that are given up, as a checkpoint has them.
pub(super) fn marks(open: &OpenWindows) -> Vec<GivenUp> {
    let mark = |(start_us, key): &GroupId| GivenUp { start_us: *start_us, key: key.as_bytes().to_vec() };
    open.given_up().iter().map(mark).collect()
}

/// The same as the open windows know them.
pub fn given_up(marks: &[GivenUp]) -> impl Iterator<Item = GroupId> {
    marks.iter().map(|mark| (mark.start_us, KeyBytes::from(mark.key.as_slice())))
}
