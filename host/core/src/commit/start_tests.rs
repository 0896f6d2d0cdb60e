//! The cases of a start, as data.

use super::*;
use crate::commit::{Codec, Digest, Kind, OutboxEntry, Progress};

fn job() -> JobName {
    JobName::new("daily").unwrap()
}

fn output() -> OutputId {
    OutputId::Aggregate("daily".into())
}

fn part(epoch: u64, number: u32) -> PartName {
    let (generation, codec) = (Generation(1), Codec::Snappy);
    PartName { job: job(), generation, epoch: Epoch(epoch), number, codec }
}

fn entry(epoch: u64, number: u32) -> PublishEntry {
    let staged = part(epoch, number).to_string();
    let path = format!("symbol=A/{staged}");
    PublishEntry { output: output(), staged, path, bytes: 1, rows: 1, sha256: Digest([0; 32]) }
}

fn manifest(epoch: u64, files: u32) -> Manifest {
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
        outputs: Vec::new(),
        publish: (0..files).map(|number| entry(epoch, number)).collect(),
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

fn published(epoch: u64, number: u32) -> PublishedFile {
    PublishedFile { output: output(), path: entry(epoch, number).path, name: part(epoch, number) }
}

fn staged(epoch: u64, number: u32) -> StagedFile {
    StagedFile { output: output(), name: part(epoch, number), owner_running: false }
}

fn decide_on(
    checkpoints: &[FoundCheckpoint<'_>],
    published: &[PublishedFile],
    staged: &[StagedFile],
) -> StartDecision {
    at_start(&StartFacts {
        job: &job(),
        claimed: Some(Generation(2)),
        newest_generation: Generation(2),
        outputs: &[output()],
        checkpoints,
        published,
        staged,
    })
}

fn refusal(checkpoints: &[FoundCheckpoint<'_>], published: &[PublishedFile]) -> String {
    match decide_on(checkpoints, published, &[]) {
        StartDecision::Refuse(refusal) => refusal.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn resumed(epoch: u64, redo: u32, delete_staged: &[StagedFile]) -> Resume {
    Resume {
        epoch: Epoch(epoch),
        redo: (0..redo).map(|number| entry(epoch, number)).collect(),
        delete_staged: delete_staged.to_vec(),
    }
}

#[test]
fn the_first_start_is_fresh_and_clears_what_a_crash_before_the_first_seal_left() {
    let left = [staged(1, 0), staged(1, 1)];
    assert_eq!(decide_on(&[], &[], &[]), StartDecision::Fresh { delete_staged: vec![] });
    assert_eq!(decide_on(&[], &[], &left), StartDecision::Fresh { delete_staged: left.to_vec() });
}

#[test]
fn a_start_redoes_the_publishing_of_the_newest_checkpoint_alone() {
    let (older, newest) = (manifest(1, 1), manifest(2, 3));
    let some_are_there = [published(1, 0), published(2, 1)];
    let left = [staged(2, 0), staged(2, 2), staged(3, 0), staged(1, 0)];
    let expected = resumed(2, 3, &[staged(3, 0), staged(1, 0)]);
    let found = [valid(&older), valid(&newest)];
    assert_eq!(decide_on(&found, &some_are_there, &left), StartDecision::Resume(expected));
}

#[test]
fn what_a_running_process_staged_for_a_later_epoch_stays() {
    let newest = manifest(2, 0);
    let running = |epoch| StagedFile { owner_running: true, ..staged(epoch, 0) };
    let expected = resumed(2, 0, &[running(2)]);
    let decision = decide_on(&[valid(&newest)], &[], &[running(2), running(3)]);
    assert_eq!(decision, StartDecision::Resume(expected));
}

#[test]
fn what_is_to_be_sent_stays_staged() {
    let entry = OutboxEntry {
        output: OutputId::DeadLetters,
        topic: "letters".into(),
        staged: part(2, 1).to_string(),
        bytes: 1,
        rows: 1,
        sha256: Digest([0; 32]),
    };
    let newest = Manifest { outbox: vec![entry], ..manifest(2, 0) };
    let left = [staged(2, 0), staged(2, 1)];
    let decision = decide_on(&[valid(&newest)], &[], &left);
    assert_eq!(decision, StartDecision::Resume(resumed(2, 0, &[staged(2, 0)])));
    let clean = Manifest { clean: true, ..newest };
    assert_eq!(decide_on(&[valid(&clean)], &[], &left), StartDecision::Resume(resumed(2, 0, &left)));
}

#[test]
fn after_a_clean_end_nothing_is_looked_for() {
    let newest = Manifest { clean: true, ..manifest(4, 2) };
    let expected = resumed(4, 0, &[staged(4, 0)]);
    assert_eq!(decide_on(&[valid(&newest)], &[], &[staged(4, 0)]), StartDecision::Resume(expected));
}

#[test]
fn a_damaged_newest_checkpoint_is_passed_over_only_if_it_published_nothing() {
    let base = manifest(4, 1);
    let found = [valid(&base), damaged(5), damaged(6)];
    let expected =
        StartDecision::FallBack { damaged: vec![Epoch(6), Epoch(5)], resume: resumed(4, 1, &[staged(6, 0)]) };
    assert_eq!(decide_on(&found, &[published(4, 0)], &[staged(6, 0)]), expected);

    for epoch in [5, 6] {
        let said = refusal(&found, &[published(4, 0), published(epoch, 0)]);
        assert!(said.contains(&format!("of epoch {epoch} is damaged")), "{said}");
        assert!(said.contains("or roll back, which moves"), "{said}");
    }
}

#[test]
fn a_damaged_older_checkpoint_does_not_matter() {
    let newest = manifest(6, 0);
    let decision = decide_on(&[damaged(5), valid(&newest)], &[], &[]);
    assert_eq!(decision, StartDecision::Resume(resumed(6, 0, &[])));
}

#[test]
fn what_would_be_written_twice_or_lost_is_refused() {
    let newest = manifest(4, 1);
    let other_job = Manifest { job: JobName::new("hourly").unwrap(), ..manifest(4, 0) };
    let later = FoundCheckpoint { epoch: Epoch(5), content: Content::OtherFormat(9) };
    let check = |found: &[FoundCheckpoint<'_>], published: &[PublishedFile], needle: &str| {
        let said = refusal(found, published);
        assert!(said.contains(needle), "{said}");
    };
    check(&[], &[published(1, 0)], "there is no checkpoint");
    check(&[valid(&newest)], &[published(5, 0)], "checkpoints are missing");
    check(&[valid(&newest)], &[published(4, 7)], "does not list");
    check(&[valid(&other_job)], &[], "belongs to job hourly");
    check(&[valid(&newest), later], &[], "format version 9");
    check(&[damaged(1)], &[], "none is left to fall back to");
}

#[test]
fn a_pending_file_of_an_output_that_is_gone_is_refused() {
    let mut newest = manifest(4, 1);
    newest.publish[0].output = OutputId::Aggregate("hourly".into());
    let said = refusal(&[valid(&newest)], &[]);
    assert!(said.contains("for aggregate hourly, which this start does not have"), "{said}");
    newest.clean = true;
    assert_eq!(decide_on(&[valid(&newest)], &[], &[]), StartDecision::Resume(resumed(4, 0, &[])));
}

#[test]
fn a_later_start_fences_this_one() {
    let facts = StartFacts {
        job: &job(),
        claimed: Some(Generation(2)),
        newest_generation: Generation(3),
        outputs: &[],
        checkpoints: &[],
        published: &[],
        staged: &[],
    };
    assert_eq!(at_start(&facts), StartDecision::Fenced);
}
