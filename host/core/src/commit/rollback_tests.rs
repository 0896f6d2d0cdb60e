//! The cases of a rollback, as data; and that a stop after any of its steps leaves a
//! job that refuses to start or starts with nothing doubled and nothing lost.

use std::collections::BTreeSet;

use super::*;
use crate::commit::{
    Codec, Digest, FORMAT_VERSION, Generation, Kind, OutputId, Progress, PublishedFile, StartDecision,
    StartFacts, at_start,
};

fn job() -> JobName {
    JobName::new("daily").unwrap()
}

fn root() -> OutputRoot {
    OutputRoot { output: OutputId::Aggregate("daily".into()), path: "/out/daily".into() }
}

fn part(epoch: u64) -> PartName {
    let (generation, codec) = (Generation(1), Codec::Snappy);
    PartName { job: job(), generation, epoch: Epoch(epoch), number: 0, codec }
}

fn file(epoch: u64) -> OutputFile {
    OutputFile { root: root(), path: format!("symbol=A/{}", part(epoch)), name: part(epoch) }
}

fn files(epochs: &[u64]) -> Vec<OutputFile> {
    epochs.iter().map(|epoch| file(*epoch)).collect()
}

/// A manifest that publishes one file, or none.
fn manifest(epoch: u64, publishes: bool) -> Manifest {
    let OutputFile { root, path, name } = file(epoch);
    let (staged, sha256) = (name.to_string(), Digest([0; 32]));
    let entry = PublishEntry { output: root.output.clone(), staged, path, bytes: 1, rows: 1, sha256 };
    Manifest {
        format: FORMAT_VERSION,
        job: job(),
        epoch: Epoch(epoch),
        generation: Generation(1),
        parent: None,
        kind: Kind::Full,
        base: None,
        published_through: Epoch(epoch).previous(),
        clean: false,
        outputs: vec![root],
        publish: if publishes { vec![entry] } else { vec![] },
        outbox: Vec::new(),
        progress: Progress::default(),
    }
}

fn valid(manifest: &Manifest) -> FoundCheckpoint<'_> {
    FoundCheckpoint { epoch: manifest.epoch, content: Content::Valid(manifest) }
}

fn damaged(epoch: u64) -> FoundCheckpoint<'static> {
    FoundCheckpoint { epoch: Epoch(epoch), content: Content::Damaged("its checksum is wrong".into()) }
}

fn plan(
    wanted: Option<u64>,
    checkpoints: &[FoundCheckpoint<'_>],
    published: &[OutputFile],
) -> Result<RollbackPlan, RollbackRefusal> {
    let wanted = wanted.map(Epoch);
    plan_rollback(&RollbackFacts { job: &job(), wanted, checkpoints, published, staged: &[] })
}

#[test]
fn later_files_and_checkpoints_are_moved_aside() {
    let [four, five, six] = [4, 5, 6].map(|epoch| manifest(epoch, true));
    let there = files(&[3, 4, 5, 6]);
    let check = |wanted, found: &[FoundCheckpoint<'_>], to: u64, moved: &[u64], aside: &[u64]| {
        let checkpoints = aside.iter().copied().map(Epoch).collect();
        let expected = RollbackPlan { to: Epoch(to), files: files(moved), checkpoints };
        assert_eq!(plan(wanted, found, &there), Ok(expected), "{wanted:?}");
    };
    check(None, &[valid(&four), valid(&five), damaged(6)], 5, &[6], &[6]);
    check(None, &[valid(&four), damaged(5), damaged(6)], 4, &[5, 6], &[6, 5]);
    check(None, &[valid(&four), valid(&five)], 5, &[6], &[]);
    check(None, &[valid(&four), valid(&five), valid(&six)], 6, &[], &[]);
    check(None, &[damaged(4), valid(&five), valid(&six)], 6, &[], &[]);
    check(Some(4), &[valid(&six), valid(&five), valid(&four)], 4, &[5, 6], &[6, 5]);
    check(Some(6), &[valid(&six)], 6, &[], &[]);
}

#[test]
fn what_no_start_could_go_on_from_is_refused() {
    let (four, five) = (manifest(4, true), manifest(5, true));
    let other = Manifest { job: JobName::new("hourly").unwrap(), ..manifest(4, false) };
    let later = FoundCheckpoint { epoch: Epoch(6), content: Content::OtherFormat(9) };
    let check = |wanted, found: &[FoundCheckpoint<'_>], published: &[u64], needle: &str| {
        let said = plan(wanted, found, &files(published)).unwrap_err().to_string();
        assert!(said.contains(needle), "{said}");
    };
    check(None, &[], &[], "no checkpoint of job daily is readable");
    check(None, &[damaged(4), damaged(5)], &[4, 5], "no checkpoint of job daily is readable");
    check(
        Some(3),
        &[valid(&five), valid(&four)],
        &[4, 5],
        "no checkpoint of epoch 3 to go back to; there are: 4, 5",
    );
    check(
        Some(5),
        &[valid(&four), damaged(5)],
        &[4, 5],
        "damaged itself (its checksum is wrong); go back to one of: 4",
    );
    check(None, &[valid(&five), later], &[5], "format version 9");
    check(None, &[valid(&other)], &[], "belongs to job hourly");
    check(None, &[valid(&four)], &[3], "neither in the output /out/daily nor staged");
}

#[test]
fn a_file_that_is_only_staged_is_there_and_after_a_clean_end_none_is_looked_for() {
    let four = manifest(4, true);
    let job = job();
    let found = [valid(&four)];
    let facts =
        RollbackFacts { job: &job, wanted: None, checkpoints: &found, published: &[], staged: &[part(4)] };
    assert!(plan_rollback(&facts).unwrap().is_empty());
    let clean = Manifest { clean: true, ..four };
    assert!(plan(None, &[valid(&clean)], &[]).unwrap().is_empty());
}

/// The job as a start finds it.
struct Job<'a> {
    checkpoints: Vec<FoundCheckpoint<'a>>,
    published: BTreeSet<u64>,
    kept: BTreeSet<u64>,
}

impl Job<'_> {
    fn take(&mut self, step: RollbackStep, plan: &RollbackPlan) {
        let epoch_of = |index: usize| plan.files[index].name.epoch.0;
        match step {
            RollbackStep::Keep(index) => drop(self.kept.insert(epoch_of(index))),
            RollbackStep::SetAside(epoch) => self.checkpoints.retain(|found| found.epoch != epoch),
            RollbackStep::Remove(index) => {
                assert!(self.kept.contains(&epoch_of(index)), "removed before it was kept");
                self.published.remove(&epoch_of(index));
            }
            RollbackStep::SyncKept | RollbackStep::SyncRemoved => {}
        }
    }

    fn start(&self) -> StartDecision {
        let found = |epoch: &u64| {
            let OutputFile { root, path, name } = file(*epoch);
            PublishedFile { output: root.output, path, name }
        };
        at_start(&StartFacts {
            job: &job(),
            claimed: None,
            newest_generation: Generation(1),
            outputs: &[root().output],
            checkpoints: &self.checkpoints,
            published: &self.published.iter().map(found).collect::<Vec<_>>(),
            staged: &[],
        })
    }
}

/// Epochs 1 to 5, of which 1, 3 and 4 published a file.
fn manifests() -> Vec<Manifest> {
    (1..=5).map(|epoch| manifest(epoch, PUBLISHING.contains(&epoch))).collect()
}

const PUBLISHING: [u64; 3] = [1, 3, 4];

fn found(manifest: &Manifest, broken: u64) -> FoundCheckpoint<'_> {
    if manifest.epoch.0 == broken { damaged(broken) } else { valid(manifest) }
}

/// Rolls back to epoch `to`, starting after each step, with one checkpoint damaged.
fn stop_after_each_step(manifests: &[Manifest], broken: u64, to: u64) {
    let checkpoints: Vec<_> = manifests.iter().map(|one| found(one, broken)).collect();
    let all = BTreeSet::from(PUBLISHING);
    let plan = plan(Some(to), &checkpoints, &files(&PUBLISHING)).unwrap();
    let mut job = Job { checkpoints, published: all.clone(), kept: BTreeSet::new() };
    for step in plan.steps() {
        job.take(step, &plan);
        judge(&job, &all, to);
    }
    let reached = job.start();
    assert!(matches!(&reached, StartDecision::Resume(resume) if resume.epoch == Epoch(to)), "{reached:?}");
    assert_eq!(job.published.union(&job.kept).copied().collect::<BTreeSet<_>>(), all);
}

#[test]
fn a_stop_after_any_step_leaves_a_refusal_or_a_job_with_each_row_once() {
    let manifests = manifests();
    for broken in [0, 4, 5] {
        (1..=5).filter(|to| *to != broken).for_each(|to| stop_after_each_step(&manifests, broken, to));
    }
}

/// Whatever a start goes on from: what was published up to it is there, and nothing beyond.
fn judge(job: &Job<'_>, all: &BTreeSet<u64>, to: u64) {
    match job.start() {
        StartDecision::Refuse(_) => {}
        StartDecision::Resume(resume) | StartDecision::FallBack { resume, .. } => {
            let expected: BTreeSet<u64> =
                all.iter().copied().filter(|epoch| *epoch <= resume.epoch.0).collect();
            assert_eq!(job.published, expected, "resumed from {}", resume.epoch);
            assert!(resume.epoch.0 >= to);
        }
        other => panic!("{other:?}"),
    }
}
