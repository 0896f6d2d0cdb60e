//! Which files a reader takes who stands upon a checkpoint: all that are committed with it, none that came later,
//! and none of anybody else's.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use speed_layer_core::commit::{Epoch, Manifest, OutputId};
use speed_layer_store::inspect::{find, read_newest, read_one};
use speed_layer_store::{CommittedFile, FileError, committed_files};

use crate::job::{Place, output, parquet_files};
use crate::refusals::committed;

fn newest(place: &Place) -> Manifest {
    let store = find(&place.path("checkpoint"), None).unwrap();
    read_newest(&store).unwrap().remove(0).content.unwrap().manifest
}

fn files(place: &Place, manifest: &Manifest, of: &OutputId) -> Result<Vec<CommittedFile>, FileError> {
    committed_files(&find(&place.path("checkpoint"), None).unwrap(), manifest, of)
}

fn paths(files: &[CommittedFile]) -> BTreeSet<PathBuf> {
    files.iter().map(|file| file.path.clone()).collect()
}

/// The published files of the newest epoch that has some.
fn last_published(place: &Place) -> Vec<PathBuf> {
    let epoch = newest(place).epoch;
    let of_epoch = |path: &PathBuf| path.to_string_lossy().contains(&format!("e{:010}", epoch.0));
    parquet_files(&place.output()).into_iter().filter(of_epoch).collect()
}

#[test]
fn the_newest_checkpoint_has_every_published_file_with_its_place_and_length() {
    let place = committed(false);
    let found = files(&place, &newest(&place), &output()).unwrap();
    assert_eq!(paths(&found), parquet_files(&place.output()).into_iter().collect());
    for file in &found {
        assert_eq!(fs::metadata(&file.path).unwrap().len(), file.bytes);
        assert_eq!(file.path, place.output().join(&file.place));
    }
    let letters = files(&place, &newest(&place), &OutputId::DeadLetters).unwrap();
    assert!(!letters.is_empty());
}

#[test]
fn an_older_checkpoint_has_no_file_of_a_later_epoch() {
    let place = committed(false);
    let last = newest(&place).epoch;
    let store = find(&place.path("checkpoint"), None).unwrap();
    let older = read_one(&store, Epoch(last.0 - 1)).unwrap().unwrap().content.unwrap().manifest;
    let found = paths(&files(&place, &older, &output()).unwrap());
    let later: BTreeSet<PathBuf> = last_published(&place).into_iter().collect();
    assert!(!later.is_empty() && found.is_disjoint(&later));
    let all: BTreeSet<PathBuf> = parquet_files(&place.output()).into_iter().collect();
    assert_eq!(&all - &found, later);
}

#[test]
fn a_file_that_is_sealed_and_not_yet_published_is_read_where_it_is_staged() {
    let place = committed(false);
    let before = files(&place, &newest(&place), &output()).unwrap();
    for path in last_published(&place) {
        fs::remove_file(path).unwrap();
    }
    let after = files(&place, &newest(&place), &output()).unwrap();
    let staged = after.iter().filter(|file| file.path.starts_with(place.staging()));
    assert_eq!(staged.count(), 2);
    let places = |files: &[CommittedFile]| -> BTreeSet<(String, u64)> {
        files.iter().map(|file| (file.place.clone(), file.bytes)).collect()
    };
    assert_eq!(places(&before), places(&after));
}

#[test]
fn files_of_nobody_and_of_other_jobs_are_none() {
    let place = committed(false);
    let expected = paths(&files(&place, &newest(&place), &output()).unwrap());
    let model = expected.first().unwrap();
    for name in ["part-hourly-g1-e0000000001-00000.snappy.parquet", "mine.parquet"] {
        fs::copy(model, place.output().join("symbol=A").join(name)).unwrap();
    }
    assert_eq!(paths(&files(&place, &newest(&place), &output()).unwrap()), expected);
}

#[test]
fn a_committed_file_that_is_nowhere_is_named() {
    let place = committed(false);
    for path in last_published(&place) {
        fs::remove_file(place.staging().join(path.file_name().unwrap())).unwrap();
        fs::remove_file(path).unwrap();
    }
    let refused = files(&place, &newest(&place), &output());
    assert!(matches!(refused, Err(FileError::Missing { .. })), "{refused:?}");
}
