//! The dead letters of groups that a plugin failed on: the group by name, its state as the value, in a form that
//! gives every column back. The rows behind it count as aggregated, the group on an account of its own.

use speed_layer_core::commit::{Epoch, GivenUp};
use speed_layer_core::group::KeyBytes;
use speed_layer_store::CommitStore;
use speed_layer_store::letters::{DeadLetters, Letter};

use super::Commits;
use crate::job::open_windows::{GroupId, GroupLetter, OpenWindows};
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
        let aggregate = &self.aggregates[index];
        let digest = aggregate.plugins.last().map(|plugin| plugin.digest.to_string());
        let GroupLetter { group, window_start_us, from: (partition, offset), kind, message, states, .. } =
            letter;
        let mut stream = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), states.schema_ref())?;
        stream.write(states)?;
        let states = stream.into_inner()?;
        dead.push(&Letter {
            topic: &self.topic,
            partition: *partition,
            offset: *offset,
            timestamp_ms: None,
            key: Some(group.as_bytes()),
            value: Some(&states),
            kind,
            message: &format!("group {group} of the window at {window_start_us} us: {message}"),
            stage: "aggregate",
            aggregate: Some(&aggregate.spec.name),
            plugin_digest: digest.as_deref(),
            epoch: Epoch(epoch.epoch),
        });
        Ok(())
    }
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
