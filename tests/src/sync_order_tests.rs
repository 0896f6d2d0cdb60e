//! Each rule of the order of syncs, broken once in a small trace: one seal, one publication, one end in order.

use std::path::PathBuf;

use super::{Places, complaints, published, sealed};
use crate::trace::{Call, parse};

const PART: &str = "part-j-g1-e0000000001-00000.snappy.parquet";

/// `PART` stands for the name of a part, `STAGED` and `CKPT` for the directories.
const IN_ORDER: &str = r#"1 mkdir("/j/out.staging", 0777) = 0
1 mkdir("STAGED", 0777) = 0
1 fsync(3</j>) = 0
1 fsync(3</j/out.staging>) = 0
1 write(2<pipe:[1]>, "INFO started job=j\n", 19) = 19
1 openat(AT_FDCWD</>, "STAGED/PART", O_WRONLY|O_CREAT|O_EXCL, 0666) = 5<STAGED/PART>
1 write(5<STAGED/PART>, "PAR1"..., 900) = 900
1 fsync(5<STAGED/PART>) = 0
1 fsync(3<STAGED>) = 0
1 openat(AT_FDCWD</>, "CKPT/ckpt-1.g1.unsealed", O_WRONLY|O_CREAT|O_EXCL, 0666) = 6<CKPT/ckpt-1.g1.unsealed>
1 write(6<CKPT/ckpt-1.g1.unsealed>, "SL"..., 90) = 90
1 fsync(6<CKPT/ckpt-1.g1.unsealed>) = 0
1 linkat(AT_FDCWD</>, "CKPT/ckpt-1.g1.unsealed", AT_FDCWD</>, "CKPT/ckpt-00000001", 0) = 0
1 fsync(7<CKPT>) = 0
1 unlink("CKPT/ckpt-1.g1.unsealed") = 0
1 mkdir("/j/out/symbol=A", 0777) = 0
1 linkat(AT_FDCWD</>, "STAGED/PART", AT_FDCWD</>, "/j/out/symbol=A/PART", 0) = 0
1 fsync(8</j/out>) = 0
1 fsync(8</j/out/symbol=A>) = 0
1 write(2<pipe:[1]>, "INFO committed epoch=1 files=1\n", 30) = 30
1 openat(AT_FDCWD</>, "CKPT/ckpt-2.g1.unsealed", O_WRONLY|O_CREAT|O_EXCL, 0666) = 6<CKPT/ckpt-2.g1.unsealed>
1 write(6<CKPT/ckpt-2.g1.unsealed>, "SL"..., 90) = 90
1 fsync(6<CKPT/ckpt-2.g1.unsealed>) = 0
1 linkat(AT_FDCWD</>, "CKPT/ckpt-2.g1.unsealed", AT_FDCWD</>, "CKPT/ckpt-00000002", 0) = 0
1 fsync(9<CKPT>) = 0
1 unlink("STAGED/PART") = 0
1 unlink("CKPT/ckpt-00000001") = 0
1 write(1<pipe:[2]>, "{\"job\":\"j\"}\n", 12) = 12
1 +++ exited with 0 +++"#;

fn places() -> Places {
    let path = PathBuf::from;
    let outputs = vec![path("/j/out"), path("/j/out.late/j")];
    Places { folder: path("/j"), outputs, staging: path("/j/out.staging/j"), checkpoints: path("/j/ckpt/j") }
}

fn spelled(text: &str) -> String {
    text.replace("PART", PART).replace("STAGED", "/j/out.staging/j").replace("CKPT", "/j/ckpt/j")
}

fn trace(lines: &[String]) -> Vec<Call> {
    parse(&lines.join("\n")).expect("a trace")
}

fn in_order() -> Vec<String> {
    spelled(IN_ORDER).lines().map(String::from).collect()
}

/// The first line that holds `text`.
fn line(lines: &[String], text: &str) -> usize {
    let found = lines.iter().position(|line| line.contains(&spelled(text)));
    found.unwrap_or_else(|| panic!("no line with {text}"))
}

fn check(edit: impl FnOnce(&mut Vec<String>), complaint: &str) {
    let mut lines = in_order();
    edit(&mut lines);
    let told = complaints(&trace(&lines), &places());
    assert!(
        told.iter().any(|told| told.contains(&spelled(complaint))),
        "`{complaint}` is not told: {told:#?}"
    );
}

/// The trace without the line that holds `text`.
fn without(text: &str, complaint: &str) {
    check(|lines| drop(lines.remove(line(lines, text))), complaint);
}

/// The trace with the line that holds `text` after the one that holds `after`.
fn moved(text: &str, after: &str, complaint: &str) {
    check(
        |lines| {
            let moved = lines.remove(line(lines, text));
            lines.insert(line(lines, after) + 1, moved);
        },
        complaint,
    );
}

/// The trace with one more line after the one that holds `after`.
fn with(more: &str, after: &str, complaint: &str) {
    check(|lines| lines.insert(line(lines, after) + 1, spelled(more)), complaint);
}

#[test]
fn a_trace_in_order_has_no_complaints_and_its_links_are_found() {
    let calls = trace(&in_order());
    assert_eq!(complaints(&calls, &places()), Vec::<String>::new());
    assert_eq!(published(&calls, &places()), [PathBuf::from(spelled("/j/out/symbol=A/PART"))]);
    assert_eq!(sealed(&calls, &places()), [1, 2]);
}

#[test]
fn a_sync_of_the_whole_file_system_stands_for_many() {
    let synced =
        ["fsync(5<STAGED/PART>)", "fsync(3<STAGED>)", "fsync(8</j/out>)", "fsync(8</j/out/symbol=A>)"];
    let mut lines = in_order();
    for text in synced {
        let at = line(&lines, text);
        lines[at] = spelled("1 syncfs(3<STAGED>) = 0");
    }
    assert_eq!(complaints(&trace(&lines), &places()), Vec::<String>::new());
}

#[test]
fn content_that_is_not_synced_before_its_name_is_told() {
    without("fsync(5<STAGED/PART>)", "symbol=A/PART got a name before its content was synced");
    without("fsync(6<CKPT/ckpt-1", "ckpt-00000001 got a name before its content was synced");
    moved("fsync(6<CKPT/ckpt-1", "\"CKPT/ckpt-00000001\"", "ckpt-00000001 got a name before");
    moved("fsync(5<STAGED/PART>)", "STAGED/PART\", O_WRONLY", "symbol=A/PART got a name before");
    with("1 write(5<STAGED/PART>, \"\", 1) = 1", "fsync(3<STAGED>)", "symbol=A/PART got a name before");
    with("1 write(5<STAGED/PART>, \"\", 1) = 1", "symbol=A/PART\"", "was written to after it got its name");
    check(
        |lines| {
            lines.retain(|line| !line.contains(&spelled("STAGED/PART\", O_WRONLY")) && !line.contains("PAR1"))
        },
        "symbol=A/PART got a name, and nobody saw it written",
    );
}

#[test]
fn a_seal_before_what_it_lists_is_durable_is_told() {
    moved(
        "fsync(5<STAGED/PART>)",
        "unlink(\"CKPT/ckpt-1.g1",
        "epoch 1 was sealed before STAGED/PART was synced",
    );
    without("fsync(3<STAGED>)", "epoch 1 was sealed before the name STAGED/PART was synced");
    moved("fsync(3<STAGED>)", "STAGED\", 0777", "epoch 1 was sealed before the name STAGED/PART");
    without("fsync(8</j/out/symbol=A>)", "epoch 2 was sealed before the name /j/out/symbol=A/PART");
}

#[test]
fn a_publication_before_its_seal_is_told() {
    moved("symbol=A/PART\"", "fsync(6<CKPT/ckpt-1", "was published before epoch 1 was sealed");
    moved("symbol=A/PART\"", "\"CKPT/ckpt-00000001\"", "was published before the seal of epoch 1 was synced");
    without("fsync(7<CKPT>)", "was published before the seal of epoch 1 was synced");
    without("\"CKPT/ckpt-00000001\"", "was published before epoch 1 was sealed");
}

#[test]
fn a_report_before_all_names_are_durable_is_told() {
    without("fsync(8</j/out/symbol=A>)", "files=1\\n` was said before the name /j/out/symbol=A/PART");
    without("fsync(8</j/out>)", "files=1\\n` was said before the name /j/out/symbol=A was synced");
    without("fsync(3</j/out.staging>)", "started job=j\\n` was said before the name STAGED was synced");
    without("fsync(9<CKPT>)", "` was said before the name CKPT/ckpt-00000002 was synced");
    with(
        "1 write(2<p>, \"INFO committed epoch=2 \", 9) = 9",
        "files=1",
        "was said before that epoch was sealed",
    );
}

#[test]
fn anything_but_links_in_an_output_is_told() {
    let told = "an output gains links and nothing else";
    let after = "fsync(8</j/out>)";
    with("1 openat(AT_FDCWD</>, \"/j/out/x\", O_WRONLY|O_CREAT, 0666) = 4</j/out/x>", after, told);
    with("1 openat(AT_FDCWD</>, \"/j/out.late/j/x\", O_RDWR) = -1 ENOENT (No such file)", after, told);
    with("1 write(4</j/out/x>, \"\", 1) = 1", after, told);
    with("1 unlink(\"/j/out/symbol=A/PART\") = 0", after, told);
    with("1 rename(\"STAGED/PART\", \"/j/out/PART\") = 0", after, told);
    with("1 rename(\"CKPT/a\", \"CKPT/b\") = 0", after, told);
}

#[test]
fn a_removal_of_what_a_start_may_need_is_told() {
    moved("unlink(\"STAGED/PART\")", "symbol=A/PART\"", "was removed before its published name was synced");
    moved("unlink(\"STAGED/PART\")", "fsync(7<CKPT>)", "was removed before its published name was synced");
    moved(
        "unlink(\"CKPT/ckpt-00000001\")",
        "\"CKPT/ckpt-00000002\"",
        "was removed before a later one was synced",
    );
    with(
        "1 unlink(\"CKPT/ckpt-00000002\") = 0",
        "fsync(9<CKPT>)",
        "was removed before a later one was synced",
    );
}

#[test]
fn a_sync_that_failed_covers_nothing_and_is_not_tried_again() {
    let failed = |lines: &mut Vec<String>| {
        let at = line(lines, "fsync(7<CKPT>)");
        lines[at] = spelled("1 fsync(7<CKPT>) = -1 EIO (Input/output error) (INJECTED)");
    };
    check(failed, "was published before the seal of epoch 1 was synced");
    check(failed, "CKPT was synced again after a sync that failed");
}

#[test]
fn a_sync_that_is_still_under_way_covers_nothing() {
    let overlapping = |lines: &mut Vec<String>| {
        let at = line(lines, "fsync(7<CKPT>)");
        lines[at] = spelled("2 fsync(7<CKPT> <unfinished ...>");
        let link = line(lines, "symbol=A/PART\"");
        lines.insert(link + 1, "2 <... fsync resumed>) = 0".into());
    };
    check(overlapping, "was published before the seal of epoch 1 was synced");
}
