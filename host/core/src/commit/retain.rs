//! How the states of a job lie over its checkpoints: written down whole now and then,
//! at a *base*, and as what changed in between. Decides when the next base is due and
//! what may be dropped, over epochs and sizes alone; reads and removes nothing.

use super::manifest::Kind;
use super::names::Epoch;

/// The newest checkpoints that are always kept: the one in force and two to fall
/// back to.
pub const CHECKPOINTS_KEPT: usize = 3;
/// With more deltas than this since the last base, another one is due.
const DELTAS_MAX: usize = 128;
/// Deltas of fewer bytes than this are no reason for another base.
const DELTA_BYTES_MIN: u64 = 256 * 1024;

/// Whether a commit writes down all `open` groups or the `changed` ones alone: the
/// latter where that saves at least half, and where there is a base to build upon.
pub fn kind_of(open: usize, changed: usize, chain: &Chain) -> Kind {
    if chain.base().is_none() || changed.saturating_mul(2) >= open { Kind::Full } else { Kind::Delta }
}

/// What is known of the checkpoints that the next commit builds upon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Epochs of which all states can be read in one piece, rising.
    bases: Vec<Epoch>,
    /// Of the newest base.
    base_bytes: u64,
    /// Since the newest base.
    deltas: Vec<Delta>,
    /// The epoch of which a snapshot is being made.
    in_work: Option<Epoch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Delta {
    epoch: Epoch,
    bytes: u64,
}

/// What is not needed any more, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Droppable {
    pub checkpoints: Vec<Epoch>,
    pub snapshots: Vec<Epoch>,
}

impl Chain {
    /// The newest epoch of which all states can be read in one piece.
    pub fn base(&self) -> Option<Epoch> {
        self.bases.last().copied()
    }

    /// Notes that bases of these epochs are there, all older than the newest known.
    pub fn found_older(&mut self, bases: impl IntoIterator<Item = Epoch>) {
        let newest = self.base();
        self.bases.extend(bases.into_iter().filter(|epoch| Some(*epoch) < newest));
        self.bases.sort_unstable();
        self.bases.dedup();
    }

    /// A checkpoint with so many bytes of states was sealed, or is there.
    pub fn sealed(&mut self, epoch: Epoch, kind: Kind, bytes: u64) {
        match kind {
            Kind::Full => self.based(epoch, bytes),
            Kind::Delta => self.deltas.push(Delta { epoch, bytes }),
        }
    }

    /// All states of `epoch` are written down in one piece of so many bytes.
    pub fn based(&mut self, epoch: Epoch, bytes: u64) {
        if self.base().is_none_or(|newest| epoch > newest) {
            self.bases.push(epoch);
            self.base_bytes = bytes;
            self.deltas.retain(|delta| delta.epoch > epoch);
        }
    }

    /// Whether the deltas have grown so far that a snapshot is worth it.
    pub fn is_snapshot_due(&self) -> bool {
        self.in_work.is_none() && self.weight() >= 1
    }

    /// The epoch to make a snapshot of now, which then counts as in work until
    /// [`Self::snapshot_made`]. `None` while one is in work, and where there are no deltas.
    pub fn begin_snapshot(&mut self) -> Option<Epoch> {
        let newest = self.deltas.last().filter(|_| self.in_work.is_none())?.epoch;
        self.in_work = Some(newest);
        Some(newest)
    }

    /// The snapshot in work is there, with so many bytes of states.
    pub fn snapshot_made(&mut self, epoch: Epoch, bytes: u64) {
        self.in_work = None;
        self.found_older([epoch]);
        self.based(epoch, bytes);
    }

    /// Whether the next commit should wait for the snapshot in work: the chain has
    /// grown to several times its measure meanwhile.
    pub fn is_too_long(&self) -> bool {
        self.in_work.is_some() && self.weight() >= 4
    }

    /// How many times the deltas reach what makes another base due.
    fn weight(&self) -> u64 {
        let bytes: u64 = self.deltas.iter().map(|delta| delta.bytes).sum();
        let by_bytes = bytes / self.base_bytes.max(DELTA_BYTES_MIN);
        by_bytes.max((self.deltas.len() / DELTAS_MAX) as u64)
    }

    /// Of the checkpoints and snapshots found, those that are not needed any more once
    /// `sealed` is sealed and published: what is left goes back over two bases and
    /// begins with one. Nothing while a snapshot is in work, which reads some of them.
    /// What is newer than `sealed` is not ours to judge and stays.
    pub fn droppable(&self, checkpoints: &[Epoch], snapshots: &[Epoch], sealed: Epoch) -> Droppable {
        let Some(from) = self.kept_from(checkpoints, sealed) else { return Droppable::default() };
        let before = |found: &[Epoch]| {
            let mut old: Vec<Epoch> = found.iter().copied().filter(|epoch| *epoch < from).collect();
            old.sort_unstable();
            old
        };
        Droppable { checkpoints: before(checkpoints), snapshots: before(snapshots) }
    }

    fn kept_from(&self, checkpoints: &[Epoch], sealed: Epoch) -> Option<Epoch> {
        let mut ours: Vec<Epoch> = checkpoints.iter().copied().filter(|epoch| *epoch <= sealed).collect();
        ours.sort_unstable_by(|a, b| b.cmp(a));
        let oldest_kept = *ours.get(CHECKPOINTS_KEPT - 1)?;
        let second_base = *self.bases.iter().rev().nth(1)?;
        let from = oldest_kept.min(second_base);
        self.bases.iter().rev().copied().find(|base| *base <= from && self.in_work.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(of: &[u64]) -> Vec<Epoch> {
        of.iter().copied().map(Epoch).collect()
    }

    fn based(bases: &[u64]) -> Chain {
        let mut chain = Chain::default();
        bases.iter().for_each(|epoch| chain.sealed(Epoch(*epoch), Kind::Full, 1_000_000));
        chain
    }

    #[test]
    fn the_three_newest_checkpoints_and_all_since_the_last_base_but_one_stay() {
        let check = |found: &[u64], bases: &[u64], sealed, dropped: &[u64]| {
            let drop = based(bases).droppable(&epochs(found), &epochs(found), Epoch(sealed));
            assert_eq!(
                (&drop.checkpoints, &drop.snapshots),
                (&epochs(dropped), &epochs(dropped)),
                "{found:?}"
            );
        };
        check(&[], &[1], 1, &[]);
        check(&[1, 2, 3], &[1, 2, 3], 3, &[]);
        check(&[4, 2, 1, 3], &[1, 2, 3, 4], 4, &[1]);
        check(&[1, 2, 7, 8, 9], &[7, 8, 9], 9, &[1, 2]);
        check(&[1, 2, 3, 4, 9], &[2, 3, 4], 4, &[1]);
        check(&[1, 2, 3, 4, 5, 6], &[1], 6, &[]);
        check(&[1, 2, 3, 4, 5, 6], &[1, 4], 6, &[]);
        check(&[1, 2, 3, 4, 5, 6], &[1, 3, 6], 6, &[1, 2]);
        check(&[1, 2, 3, 4, 5, 6], &[2, 5, 6], 6, &[1]);
    }

    #[test]
    fn nothing_is_dropped_while_a_snapshot_is_in_work() {
        let mut chain = based(&[3, 4]);
        chain.sealed(Epoch(5), Kind::Delta, 2_000_000);
        assert_eq!(chain.begin_snapshot(), Some(Epoch(5)));
        assert_eq!(chain.begin_snapshot(), None);
        let found = epochs(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(chain.droppable(&found, &[], Epoch(5)), Droppable::default());
        chain.snapshot_made(Epoch(5), 1_000_000);
        assert_eq!(chain.droppable(&found, &[], Epoch(5)).checkpoints, epochs(&[1, 2]));
    }

    #[test]
    fn a_snapshot_is_due_by_bytes_or_by_number() {
        let due_after = |bytes: u64| {
            let mut chain = based(&[1]);
            let mut epoch = 1;
            while !chain.is_snapshot_due() {
                epoch += 1;
                chain.sealed(Epoch(epoch), Kind::Delta, bytes);
            }
            epoch - 1
        };
        assert_eq!([due_after(1_000_000), due_after(300_000), due_after(1)], [1, 4, DELTAS_MAX as u64]);
    }

    #[test]
    fn a_commit_waits_when_the_snapshot_is_left_far_behind() {
        let mut chain = based(&[1]);
        let mut waits = |epochs: std::ops::Range<u64>| {
            epochs.map(|epoch| chain.sealed(Epoch(epoch), Kind::Delta, 1_000_000)).for_each(drop);
            (chain.begin_snapshot(), chain.is_too_long())
        };
        assert_eq!(waits(2..3), (Some(Epoch(2)), false));
        assert_eq!(waits(3..5), (None, false));
        assert_eq!(waits(5..6), (None, true));
        chain.snapshot_made(Epoch(2), 1_000_000);
        assert_eq!((chain.begin_snapshot(), chain.is_too_long()), (Some(Epoch(5)), false));
    }

    #[test]
    fn all_states_are_written_down_where_the_changed_ones_are_half() {
        let check =
            |open, changed, chain: &Chain, expected| assert_eq!(kind_of(open, changed, chain), expected);
        check(100_000, 1_000, &based(&[1]), Kind::Delta);
        check(100_000, 1_000, &Chain::default(), Kind::Full);
        check(20, 20, &based(&[1]), Kind::Full);
        check(20, 9, &based(&[1]), Kind::Delta);
        check(0, 0, &based(&[1]), Kind::Full);
    }
}
