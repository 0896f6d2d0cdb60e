//! Whether the checkpoints that are there follow from one another. Decides over what
//! they say of themselves; reads none.

use super::manifest::Manifest;
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
    #[error("its states build upon the checkpoint of epoch {base}, which is not there")]
    NoBase { base: Epoch },
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
/// epochs of which there is a file, readable or not; what a damaged one says is not
/// known, so that nothing is said about it here.
pub fn chain_problems(links: &[ChainLink<'_>], present: &[Epoch]) -> Vec<(Epoch, ChainProblem)> {
    let oldest = present.iter().min().copied().unwrap_or_default();
    let problem_of = |link: &ChainLink<'_>| {
        let epoch = link.manifest.epoch;
        link_problem(link, links, present, oldest).map(|problem| (epoch, problem))
    };
    links.iter().filter_map(problem_of).collect()
}

fn link_problem(
    link: &ChainLink<'_>,
    links: &[ChainLink<'_>],
    present: &[Epoch],
    oldest: Epoch,
) -> Option<ChainProblem> {
    let manifest = link.manifest;
    if let Some(base) = manifest.base.filter(|base| !present.contains(base)) {
        return Some(ChainProblem::NoBase { base });
    }
    let before = manifest.epoch.previous();
    if manifest.epoch == oldest {
        return None;
    }
    if !present.contains(&before) {
        return Some(ChainProblem::Hole { before });
    }
    let parent = links.iter().find(|other| other.manifest.epoch == before)?;
    (manifest.parent != Some(parent.digest)).then_some(ChainProblem::OtherParent { before })
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
            progress: Progress::default(),
        }
    }

    fn check(manifests: &[Manifest], damaged: &[u64], expected: &[(u64, ChainProblem)]) {
        let link = |manifest| ChainLink { manifest, digest: digest(manifest.epoch.0) };
        let links: Vec<_> = manifests.iter().map(link).collect();
        let damaged = damaged.iter().copied().map(Epoch);
        let present: Vec<_> = manifests.iter().map(|manifest| manifest.epoch).chain(damaged).collect();
        let expected: Vec<_> =
            expected.iter().map(|(epoch, problem)| (Epoch(*epoch), problem.clone())).collect();
        assert_eq!(chain_problems(&links, &present), expected);
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
        let delta = |base| Manifest { base: Some(Epoch(base)), ..manifest(5) };
        check(&[manifest(4), delta(4)], &[], &[]);
        check(&[manifest(4), delta(2)], &[], &[(5, ChainProblem::NoBase { base: Epoch(2) })]);
    }
}
