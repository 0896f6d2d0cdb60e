//! The checkpoint decoder. What decodes is written again, and that reads as the same; nothing panics, and every
//! column that comes out is one that Arrow itself finds right.
//!
//! No mutation finds a SHA-256, so an input that begins with `C` or `S` is the sections of a checkpoint or of a
//! snapshot, from which a file with right digests is made: after that letter the sections, divided by
//! [`DIVIDER`], each a digit (its kind), its name up to the end of the line, and its bytes. Any other input is a
//! file as it is.

#![no_main]

use std::panic::{catch_unwind, panic_any, set_hook};
use std::sync::Mutex;

use arrow_array::Array;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the store has uses for all of it")]
#[path = "../../host/store/src/checkpoint.rs"]
mod checkpoint;
#[allow(dead_code, reason = "the store has uses for all of it")]
#[path = "../../host/store/src/container.rs"]
mod container;

use checkpoint::{States, decode, decode_snapshot, encode, encode_snapshot};
use container::{Magic, Section, assemble};

/// As the store has it beside its Parquet writer, which is not fuzzed here.
mod part {
    use sha2::{Digest as _, Sha256};
    use speed_layer_core::commit::Digest;

    pub fn digest_of_bytes(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

const DIVIDER: &[u8] = b"\n%%\n";
const CHECKPOINT: Magic = *b"\x89SLCKPT\n";
const SNAPSHOT: Magic = *b"\x89SLSNAP\n";

/// What the last panic said.
static PANIC: Mutex<String> = Mutex::new(String::new());

fuzz_target!(init: keep_panics(), |input| reported(input));

/// The decoder catches the panics of Arrow's reader; libfuzzer-sys would end the process at each.
fn keep_panics() {
    set_hook(Box::new(|panic| *PANIC.lock().unwrap() = panic.to_string()));
}

fn reported(input: &[u8]) {
    if let Err(panic) = catch_unwind(|| check(input)) {
        eprintln!("{}", PANIC.lock().unwrap());
        panic_any(panic);
    }
}

fn check(input: &[u8]) {
    match input.split_first() {
        Some((b'C', sections)) => check_checkpoint(&sealed(CHECKPOINT, sections)),
        Some((b'S', sections)) => check_snapshot(&sealed(SNAPSHOT, sections)),
        _ => {
            check_checkpoint(input);
            check_snapshot(input);
        }
    }
}

fn check_checkpoint(file: &[u8]) {
    let Ok(read) = decode(file) else { return };
    check_columns(&read.states);
    let written = encode(&read.manifest, &read.states).expect("what was read can be written");
    let again = decode(&written).expect("what was written can be read");
    assert_eq!(again.manifest, read.manifest);
    assert_eq!(held(again.states.clone()), held(read.states));
    assert_eq!(encode(&again.manifest, &again.states).expect("it can be written again"), written);
}

fn check_snapshot(file: &[u8]) {
    let Ok(read) = decode_snapshot(file) else { return };
    check_columns(&read.states);
    let written = encode_snapshot(&read.manifest, &read.states).expect("what was read can be written");
    let again = decode_snapshot(&written).expect("what was written can be read");
    assert_eq!(again.manifest, read.manifest);
    assert_eq!(held(again.states.clone()), held(read.states));
    assert_eq!(encode_snapshot(&again.manifest, &again.states).expect("it can be written again"), written);
}

fn check_columns(states: &States) {
    for (name, stored) in states {
        for column in stored.groups.iter().flat_map(|groups| groups.columns()) {
            column.to_data().validate_full().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

/// Without the aggregates of which nothing is open: they need not be written down.
fn held(mut states: States) -> States {
    states.retain(|(_, stored)| stored.groups.is_some() || !stored.offsets.is_empty());
    states
}

fn sealed(magic: Magic, sections: &[u8]) -> Vec<u8> {
    let sections: Vec<Section<'_>> = divided(sections).into_iter().filter_map(section).collect();
    assemble(magic, &sections)
}

fn divided(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(at) = rest.windows(DIVIDER.len()).position(|window| window == DIVIDER) {
        parts.push(&rest[..at]);
        rest = &rest[at + DIVIDER.len()..];
    }
    parts.push(rest);
    parts
}

fn section(part: &[u8]) -> Option<Section<'_>> {
    let (kind, rest) = part.split_first()?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    Some(Section { kind: u32::from(kind.wrapping_sub(b'0')), name, bytes: &rest[end + 1..] })
}
