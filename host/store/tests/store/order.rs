//! What is synced before what: nothing is named before it is durable, and nothing is
//! published before the seal is.

use std::path::{Path, PathBuf};

use speed_layer_core::commit::Codec;
use speed_layer_store::recover;

use crate::job::{Place, commit, footer, numbers, output, pending, progress};
use crate::layer::{Fault, Kind, TestLayer};

type Log = [(Kind, PathBuf)];

fn position(log: &Log, kind: Kind, path: &Path) -> usize {
    let found = log.iter().position(|(found, at)| *found == kind && at == path);
    found.unwrap_or_else(|| panic!("no {kind:?} of {}", path.display()))
}

fn last_position(log: &Log, kind: Kind, path: &Path) -> usize {
    let found = log.iter().rposition(|(found, at)| *found == kind && at == path);
    found.unwrap_or_else(|| panic!("no {kind:?} of {}", path.display()))
}

fn paths(log: &Log, kind: Kind, below: &Path) -> Vec<PathBuf> {
    let is = |(found, at): &&(Kind, PathBuf)| *found == kind && at.starts_with(below);
    log.iter().filter(is).map(|(_, at)| at.clone()).collect()
}

#[test]
fn every_file_is_durable_before_the_link_that_names_it() {
    let (place, layer) = (Place::new(), TestLayer::default());
    let mut committer = recover(place.store_on(layer.clone())).unwrap().committer;
    let before = layer.log().len();
    commit(&mut committer, 0, 10).unwrap();
    let log = &layer.log()[before..];

    let seal = position(log, Kind::Link, &place.checkpoint(1));
    let staged = paths(log, Kind::Create, &place.staging());
    assert_eq!(staged.len(), 3);
    for file in &staged {
        let synced = position(log, Kind::SyncFile, file);
        assert!(last_position(log, Kind::Write, file) < synced);
        assert!(synced < position(log, Kind::SyncDir, &place.staging()));
    }
    assert!(position(log, Kind::SyncDir, &place.staging()) < seal);
    let unsealed = &paths(log, Kind::Create, &place.checkpoints())[0];
    assert!(position(log, Kind::SyncFile, unsealed) < seal);
    let sealed = position(log, Kind::SyncDir, &place.checkpoints());
    assert!(seal < sealed);
    for file in paths(log, Kind::Link, &place.path("out")) {
        let published = position(log, Kind::Link, &file);
        assert!(sealed < published);
        let mut dir = file.parent().unwrap();
        while dir != place.path("") && dir != place.path("out").parent().unwrap() {
            assert!(published < last_position(log, Kind::SyncDir, dir), "{} is not synced", dir.display());
            dir = dir.parent().unwrap();
        }
    }
}

#[test]
fn directories_that_a_dead_process_made_are_synced_by_the_next() {
    let place = Place::new();
    recover(place.store_on(TestLayer::with(Fault::StopAt(4)))).map(drop).unwrap_err();
    assert!(place.path("checkpoint").exists() && place.path("out").exists(), "they are made, not synced");
    let layer = TestLayer::default();
    recover(place.store_on(layer.clone())).unwrap();
    position(&layer.log(), Kind::SyncDir, place.path("out").parent().unwrap());
}

#[test]
fn the_checkpoint_that_a_start_found_is_made_durable_before_its_files_are_shown() {
    let place = Place::new();
    commit(&mut recover(place.store()).unwrap().committer, 0, 10).unwrap();
    std::fs::remove_dir_all(place.output()).unwrap();
    std::fs::create_dir(place.output()).unwrap();
    let layer = TestLayer::default();
    let (found, looked) = (layer.clone(), std::sync::mpsc::channel());
    layer.before_list(&place.output(), move || looked.0.send(found.log().len()).unwrap());
    recover(place.store_on(layer.clone())).unwrap();
    let log = &layer.log()[looked.1.recv().unwrap()..];
    let shown = log.iter().position(|(kind, path)| *kind == Kind::Link && path.starts_with(place.output()));
    assert!(position(log, Kind::SyncDir, &place.checkpoints()) < shown.expect("it is shown again"));
}

#[test]
fn many_files_are_synced_with_their_file_system() {
    let (place, layer) = (Place::new(), TestLayer::default());
    let mut committer = recover(place.store_on(layer.clone())).unwrap().committer;
    let footer = footer(&committer, 0, 200);
    let mut files = Vec::new();
    for number in 0..200 {
        let rows = numbers(vec![number]);
        let directory = format!("symbol={number}");
        let mut part = committer.begin_part(&output(), &directory, rows.schema(), Codec::Zstd).unwrap();
        part.write(&rows).unwrap();
        files.push(committer.finish_part(part, &footer).unwrap());
    }
    let before = layer.log().len();
    committer.commit(pending(progress(200), Vec::new(), files)).unwrap();
    let log = &layer.log()[before..];

    assert_eq!(place.published(), (0..200).collect());
    assert_eq!(paths(log, Kind::SyncFileSystem, &place.staging()).len(), 2, "staged once, published once");
    assert_eq!(paths(log, Kind::SyncFile, &place.staging()).len(), 0);
    assert_eq!(paths(log, Kind::SyncDir, &place.output()).len(), 0);
    let seal = position(log, Kind::Link, &place.checkpoint(1));
    assert!(position(log, Kind::SyncFileSystem, &place.staging()) < seal);
}
