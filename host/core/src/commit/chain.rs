//! Whether the checkpoints that are there follow from one another. Decides over what
//! they say of themselves; reads none.

use super::manifest::{Kind, Manifest};
use super::names::{Digest, Epoch};

/// A readable checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct ChainLink<'a> {
    pub manifest: &'a Manifest,
    /// Of all its bytes.
    pub digest: Digest,
}

/// What is wrong between checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainProblem {
    #[error("it goes on from a checkpoint of epoch {before} that is not there, although an older one is")]
    Hole { before: Epoch },
    #[error("it goes on from another checkpoint than the one of epoch {before} that is there")]
    OtherParent { before: Epoch },
    #[error("its states build upon those of epoch {base}, which are not there as a whole")]
    NoBase { base: Epoch },
}

/// A readable snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotId {
    pub epoch: Epoch,
    /// Of its epoch's checkpoint.
    pub of: Digest,
}

/// Whether all states of `link` can be put together from what is readable.
pub fn is_whole(link: &ChainLink<'_>, links: &[ChainLink<'_>], snapshots: &[SnapshotId]) -> bool {
    let mut at = *link;
    loop {
        let is_here = SnapshotId { epoch: at.manifest.epoch, of: at.digest };
        if at.manifest.kind == Kind::Full || snapshots.contains(&is_here) {
            return true;
        }
        let Some(of) = at.manifest.parent else { return false };
        let before = SnapshotId { epoch: at.manifest.epoch.previous(), of };
        if snapshots.contains(&before) {
            return true;
        }
        let is_parent = |other: &&ChainLink<'_>| other.manifest.epoch == before.epoch && other.digest == of;
        match links.iter().find(is_parent) {
            Some(parent) => at = *parent,
            None => return false,
        }
    }
}

impl ChainProblem {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Hole { .. } | Self::NoBase { .. } => "restore that file from a copy",
            Self::OtherParent { .. } => {
                "two processes wrote, or one of the two files comes from an old copy: restore the directory as a \
                 whole"
            }
        }
    }
}

/// What is wrong, with the epoch of the checkpoint that shows it. `present` are all
/// epochs of which there is a checkpoint, readable or not; what a damaged one says is
/// not known, so that nothing is said about it here. Old ones go oldest first, so a
/// base that is older than all of them is one that has gone already.
pub fn chain_problems(
    links: &[ChainLink<'_>],
    present: &[Epoch],
    snapshots: &[SnapshotId],
) -> Vec<(Epoch, ChainProblem)> {
    let oldest = present.iter().min().copied().unwrap_or_default();
    let found = Found { links, present, snapshots, oldest };
    let problem_of = |link| found.problem_of(link).map(|problem| (link.manifest.epoch, problem));
    links.iter().filter_map(problem_of).collect()
}

struct Found<'a> {
    links: &'a [ChainLink<'a>],
    present: &'a [Epoch],
    snapshots: &'a [SnapshotId],
    oldest: Epoch,
}

impl Found<'_> {
    fn problem_of(&self, link: &ChainLink<'_>) -> Option<ChainProblem> {
        let manifest = link.manifest;
        if let Some(base) = manifest.base.filter(|base| *base >= self.oldest && !self.may_be_base(*base)) {
            return Some(ChainProblem::NoBase { base });
        }
        let before = manifest.epoch.previous();
        if manifest.epoch == self.oldest {
            return None;
        }
        if !self.present.contains(&before) {
            return Some(ChainProblem::Hole { before });
        }
        let parent = self.links.iter().find(|other| other.manifest.epoch == before)?;
        (manifest.parent != Some(parent.digest)).then_some(ChainProblem::OtherParent { before })
    }

    fn may_be_base(&self, epoch: Epoch) -> bool {
        let read = self.links.iter().find(|link| link.manifest.epoch == epoch);
        let is_full = read.map_or(self.present.contains(&epoch), |link| link.manifest.kind == Kind::Full);
        is_full || self.snapshots.iter().any(|snapshot| snapshot.epoch == epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{FORMAT_VERSION, Generation, JobName, Kind, Progress};

    fn digest(epoch: u64) -> Digest {
        Digest([epoch as u8; 32])
    }

    fn manifest(epoch: u64) -> Manifest {
        Manifest {
            format: FORMAT_VERSION,
            job: JobName::new("daily").unwrap(),
            epoch: Epoch(epoch),
            generation: Generation(1),
            parent: Some(digest(epoch - 1)),
            kind: Kind::Full,
            base: None,
            published_through: Epoch(epoch - 1),
            clean: false,
            outputs: vec![],
            publish: vec![],
            outbox: Vec::new(),
            progress: Progress::default(),
        }
    }

    fn check(manifests: &[Manifest], damaged: &[u64], expected: &[(u64, ChainProblem)]) {
        check_with(manifests, damaged, &[], expected);
    }

    fn check_with(
        manifests: &[Manifest],
        damaged: &[u64],
        snapshots: &[u64],
        expected: &[(u64, ChainProblem)],
    ) {
        let link = |manifest| ChainLink { manifest, digest: digest(manifest.epoch.0) };
        let links: Vec<_> = manifests.iter().map(link).collect();
        let damaged = damaged.iter().copied().map(Epoch);
        let present: Vec<_> = manifests.iter().map(|manifest| manifest.epoch).chain(damaged).collect();
        let expected: Vec<_> =
            expected.iter().map(|(epoch, problem)| (Epoch(*epoch), problem.clone())).collect();
        assert_eq!(chain_problems(&links, &present, &ids(snapshots)), expected);
    }

    #[test]
    fn a_chain_has_no_hole_and_every_link_names_the_one_before() {
        let of = |epochs: &[u64]| epochs.iter().copied().map(manifest).collect::<Vec<_>>();
        check(&[], &[], &[]);
        check(&of(&[4, 5, 6]), &[], &[]);
        check(&of(&[4, 6]), &[5], &[]);
        check(&of(&[4, 6]), &[], &[(6, ChainProblem::Hole { before: Epoch(5) })]);
        let stray = Manifest { parent: Some(digest(9)), ..manifest(5) };
        check(&[manifest(4), stray], &[], &[(5, ChainProblem::OtherParent { before: Epoch(4) })]);
    }

    fn ids(epochs: &[u64]) -> Vec<SnapshotId> {
        epochs.iter().map(|epoch| SnapshotId { epoch: Epoch(*epoch), of: digest(*epoch) }).collect()
    }

    fn delta(epoch: u64, base: u64) -> Manifest {
        Manifest { kind: Kind::Delta, base: Some(Epoch(base)), ..manifest(epoch) }
    }

    #[test]
    fn a_base_that_is_lost_is_told_from_one_that_was_dropped() {
        let lost = |epoch, base| [(epoch, ChainProblem::NoBase { base: Epoch(base) })];
        check(&[manifest(4), delta(5, 4)], &[], &[]);
        check(&[delta(4, 3), delta(5, 3)], &[], &[]);
        check(&[delta(5, 4)], &[4], &[]);
        check(&[delta(4, 3), delta(5, 4)], &[], &lost(5, 4));
        check_with(&[delta(4, 3), delta(5, 4)], &[], &[4], &[]);
    }

    #[test]
    fn states_are_whole_where_every_delta_leads_back_to_all_of_them() {
        let whole = |manifests: &[Manifest], snapshots: &[u64]| {
            let link = |manifest| ChainLink { manifest, digest: digest(manifest.epoch.0) };
            let links: Vec<_> = manifests.iter().map(link).collect();
            is_whole(&links[0], &links, &ids(snapshots))
        };
        let stray = Manifest { parent: Some(digest(9)), ..delta(5, 4) };
        assert!(whole(&[manifest(6)], &[]));
        assert!(whole(&[delta(6, 4), delta(5, 4), manifest(4)], &[]));
        assert!(whole(&[delta(6, 4)], &[5]));
        assert!(whole(&[delta(6, 4)], &[6]));
        assert!(!whole(&[delta(6, 4)], &[4, 7]));
        assert!(!whole(&[delta(6, 4), manifest(4)], &[]));
        assert!(!whole(&[delta(6, 4), stray, manifest(4)], &[]));
        assert!(!whole(&[Manifest { parent: None, ..delta(6, 4) }], &[]));
    }
}
