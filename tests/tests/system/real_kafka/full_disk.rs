//! Disks that are full and read-only in earnest, without root: a file system in memory, in a namespace of
//! its own, that is too small or not writable, and is made larger or writable for the second start.
//!
//! `cargo xtask test` leaves these out, aloud, where a user may make no such namespace. Failures at single
//! calls, which need none, are in `disk_faults`.

use std::fs;
use std::path::Path;
use std::process::Command;

use speed_layer_tests::host::{Finished, Running};
use speed_layer_tests::job::{Job, LIMIT, new_folder};

use super::sided::Sided;

/// Mounts a disk on the job's folder, runs the job, keeps what is there, mends the disk, runs it again.
/// Arguments: the folder, where to keep things, the disk's options at first, its options then, the job.
const TWO_STARTS: &str = r#"
folder=$1; kept=$2; first=$3; then=$4; shift 4
mount -t tmpfs -o size=64m tmpfs "$folder" && mount -o "remount,$first" "$folder" || exit 70
"$@"; echo "first: $?" >&2
cp -r "$folder/." "$kept/first" && mount -o "remount,$then" "$folder" || exit 71
"$@" > "$kept/out" || exit 72
cp -r "$folder/." "$kept/second"
"#;

fn two_starts(words: &[&str], job: &Job) -> Finished {
    let host = job.command().expect("it is built");
    let mut command = Command::new("unshare");
    command.args(["-Urm", "sh", "-c", TWO_STARTS, "sh"]).args(words);
    command.arg(host.get_program()).args(host.get_args());
    let finished = Running::start(&mut command).and_then(|running| running.finish(LIMIT));
    finished.unwrap_or_else(|why| panic!("{why:#}"))
}

/// Puts what was kept in place of what the job's folder holds.
fn restore(kept: &Path, job: &Job) {
    for place in ["output", "checkpoint"] {
        let (from, to) = (kept.join(place), job.path(place));
        if to.exists() {
            fs::remove_dir_all(&to).expect("a folder of the job");
        }
        if from.exists() {
            let copied = Command::new("cp").arg("-r").args([&from, &to]).status();
            assert!(copied.is_ok_and(|status| status.success()), "cannot copy {}", from.display());
        }
    }
}

/// Two starts on a disk that is mounted with these options first and with those then.
fn check(topic: &Sided, first: &str, then: &str, told: &[&str]) {
    let (job, kept) = (topic.job(), new_folder().expect("a folder"));
    let (folder, place) = (job.path("").display().to_string(), kept.path().display().to_string());
    let both = two_starts(&[&folder, &place, first, then], &job);
    assert_eq!(both.status.code(), Some(0), "{first}: {}", both.told());
    assert!(both.stderr.contains("first: 1"), "{first}: {}", both.told());
    assert!(!both.stderr.contains("panicked"), "{first}: {}", both.told());
    let error = both.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    for text in told.iter().chain([&folder.as_str()]) {
        assert!(error.contains(text), "{first}: `{text}` is not said: {}", both.told());
    }
    restore(&kept.path().join("first"), &job);
    assert_eq!(topic.harm(&job), Vec::<String>::new(), "{first}");
    restore(&kept.path().join("second"), &job);
    assert_eq!(topic.wrong(&job), Vec::<String>::new(), "{first}");
}

#[test]
fn a_full_disk_ends_the_job_and_the_next_start_completes() {
    let topic = Sided::topic("full-disk", 3);
    for kib in [4, 24, 48, 96, 144] {
        check(&topic, &format!("size={kib}k"), "size=64m", &["No space left on device", "make room"]);
    }
}

#[test]
fn a_read_only_disk_ends_the_job_and_the_next_start_completes() {
    let topic = Sided::topic("read-only-disk", 3);
    check(&topic, "ro", "rw", &["Read-only file system", "make the file system writable"]);
}
