//! What a look at a job from outside finds: which jobs there are, and which file is
//! not as it was written.

use std::fs;
use std::path::PathBuf;

use speed_layer_core::commit::{Epoch, JobName};
use speed_layer_store::inspect::{find, read_newest};
use speed_layer_store::recover;
use speed_layer_store::verify::{Verdict, Verification, verify};

use crate::job::{JOB, Place, parquet_files};
use crate::refusals::{committed, flip_a_byte};

fn verified(place: &Place) -> Verification {
    verify(&find(&place.path("checkpoint"), None).unwrap()).unwrap()
}

/// The files that are wrong, with what is said of each.
fn wrong(place: &Place) -> Vec<(String, String)> {
    let found = verified(place);
    let all = found.checkpoints.iter().chain(&found.files);
    let said = all.filter_map(|finding| match &finding.verdict {
        Verdict::Wrong { what, advice } => {
            let name = finding.path.file_name().unwrap().to_string_lossy().into_owned();
            Some((name, format!("{what}; {advice}")))
        }
        _ => None,
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said.len(), found.wrong());
    said
}

fn check(prepare: impl Fn(&Place), name: &str, needle: &str) {
    let place = committed(false);
    prepare(&place);
    let said = wrong(&place);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].0.contains(name) && said[0].1.contains(needle), "{said:?}");
}

fn published(place: &Place) -> PathBuf {
    let files = parquet_files(&place.output());
    files.into_iter().find(|path| path.to_string_lossy().contains("e0000000003")).unwrap()
}

/// The published file, and the staged name that it was linked from.
fn remove(place: &Place, path: PathBuf) {
    fs::remove_file(place.staging().join(path.file_name().unwrap())).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn what_is_whole_is_said_to_be_also_while_the_job_runs() {
    let place = committed(false);
    let before = place.everything();
    let found = verified(&place);
    assert_eq!((found.wrong(), found.checkpoints.len(), found.files.len(), found.clean), (0, 4, 3, false));
    assert_eq!(place.everything(), before);
    let running = recover(place.store()).unwrap();
    assert_eq!(verified(&place), found);
    running.committer.close_clean().unwrap();
    let found = verified(&place);
    assert_eq!((found.wrong(), found.files.len(), found.clean), (0, 0, true));
}

#[test]
fn every_file_that_is_not_as_written_is_named() {
    check(|place| flip_a_byte(&place.checkpoint(3)), "ckpt-00000000000000000003", "checksum");
    check(|place| flip_a_byte(&place.checkpoint(1)), "ckpt-00000000000000000001", "restore it from a copy");
    check(|place| fs::remove_file(place.checkpoint(2)).unwrap(), "003", "epoch 2 that is not there");
    check(|place| remove(place, published(place)), "e0000000003", "neither published nor staged");
    check(
        |place| {
            let path = published(place);
            fs::remove_file(&path).unwrap();
            fs::write(path, "not ours").unwrap();
        },
        "e0000000003",
        "it is not the file of",
    );
    check(|place| flip_a_byte(&published(place)), "e0000000003", "it is not the file of");
}

#[test]
fn files_beyond_a_lost_checkpoint_are_wrong() {
    let place = committed(false);
    fs::remove_file(place.checkpoint(3)).unwrap();
    let said = wrong(&place);
    assert_eq!(said.len(), 3, "{said:?}");
    for (name, what) in said {
        assert!(
            name.contains("e0000000003") && what.contains("newest checkpoint is of epoch 2"),
            "{name}: {what}"
        );
    }
}

#[test]
fn a_file_that_is_staged_still_is_not_wrong() {
    let place = committed(false);
    fs::remove_file(published(&place)).unwrap();
    assert_eq!(verified(&place).wrong(), 0);
    assert!(verified(&place).files.iter().any(|finding| finding.verdict == Verdict::Staged));
}

#[test]
fn a_job_is_found_by_its_directory_or_its_name() {
    let place = committed(false);
    let (parent, job) = (place.path("checkpoint"), JobName::new(JOB).unwrap());
    for found in [find(&parent, None), find(&parent, Some(&job)), find(&place.checkpoints(), None)] {
        assert_eq!(found.unwrap().layout().checkpoint_dir(), place.checkpoints());
    }
    fs::create_dir(parent.join("hourly")).unwrap();
    fs::copy(place.checkpoint(3), parent.join("hourly/ckpt-00000000000000000003")).unwrap();
    let said = |wanted: Option<&str>| {
        let wanted = wanted.map(|name| JobName::new(name).unwrap());
        find(&parent, wanted.as_ref()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(said(None).contains("several jobs: daily, hourly; say which with --job"), "{}", said(None));
    assert!(said(Some("other")).contains("no job other; it holds daily, hourly"));
    let nothing = find(&place.path("out"), None).map(|_| ()).unwrap_err().to_string();
    assert!(nothing.contains("holds no job's checkpoints"), "{nothing}");
    let hourly = find(&parent, Some(&JobName::new("hourly").unwrap())).unwrap();
    let findings = verify(&hourly).unwrap().checkpoints;
    assert!(matches!(&findings[0].verdict, Verdict::Wrong { what, .. } if what.contains("job daily")));
}

#[test]
fn damaged_checkpoints_ahead_of_the_newest_readable_one_are_read_with_it() {
    let place = committed(false);
    flip_a_byte(&place.checkpoint(3));
    let read = read_newest(&find(&place.path("checkpoint"), None).unwrap()).unwrap();
    let read: Vec<_> = read.iter().map(|one| (one.epoch, one.content.is_ok())).collect();
    assert_eq!(read, [(Epoch(3), false), (Epoch(2), true)]);
}
