//! A checkpoint's bytes: whatever is done to them is detected, and what was written
//! by a released version still reads.

use std::path::Path;
use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use speed_layer_core::commit::{
    AggregateProgress, Digest, Epoch, FORMAT_VERSION, Gap, Generation, JobName, Kind, Manifest, OffsetMark,
    OutputId, OutputRoot, PluginUse, Progress, PublishEntry, StageUse, WindowOffsets,
};
use speed_layer_store::checkpoint::{decode, encode};
use speed_layer_store::part::digest_of_bytes;
use speed_layer_store::{Checkpoint, CheckpointError};

use crate::job::progress;

fn plugin(name: &str) -> PluginUse {
    let from = vec![OffsetMark { topic: "ticks".into(), partition: 0, offset: 0 }];
    PluginUse { name: name.into(), digest: Digest([7; 32]), config: Digest([9; 32]), from }
}

fn aggregate() -> AggregateProgress {
    let lowest = vec![OffsetMark { topic: "ticks".into(), partition: 0, offset: 3 }];
    AggregateProgress {
        name: "daily".into(),
        key: vec!["symbol".into()],
        window_ms: 86_400_000,
        delay_ms: 3_600_000,
        closed_through_ms: Some(1_700_006_400_000),
        withheld_until_ms: None,
        state_version: 1,
        plugins: vec![plugin("ohlcv")],
        windows: vec![WindowOffsets { start_ms: 1_700_006_400_000, lowest }],
    }
}

fn manifest() -> Manifest {
    let output = OutputId::Aggregate("daily".into());
    let staged = "part-daily-g2-e0000000005-00000.snappy.parquet".to_owned();
    let path = format!("symbol=BTCUSDT/{staged}");
    Manifest {
        format: FORMAT_VERSION,
        job: JobName::new("daily").unwrap(),
        epoch: Epoch(5),
        generation: Generation(2),
        parent: Some(Digest([1; 32])),
        kind: Kind::Full,
        base: None,
        published_through: Epoch(4),
        clean: false,
        outputs: vec![OutputRoot { output: output.clone(), path: "/data/daily".into() }],
        publish: vec![PublishEntry { output, staged, path, bytes: 1000, rows: 1, sha256: Digest([2; 32]) }],
        progress: Progress {
            epoch_began_ms: 1_700_010_000_000,
            clock_bound_ms: 1_700_010_300_000,
            stages: vec![StageUse { stage: "parse".into(), plugins: vec![plugin("ticker_json")] }],
            aggregates: vec![aggregate()],
            gaps: vec![Gap {
                topic: "ticks".into(),
                partition: 0,
                from: 1,
                to: 2,
                reason: "retention".into(),
            }],
            ..progress(1000)
        },
    }
}

fn states() -> Vec<(String, RecordBatch)> {
    let symbols: DictionaryArray<UInt32Type> = ["A", "B", "A"].into_iter().collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("symbol", Arc::new(symbols)),
        ("count", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
        ("note", Arc::new(StringArray::from(vec!["", "x", "longer"]))),
    ];
    vec![("daily".to_owned(), RecordBatch::try_from_iter(columns).unwrap())]
}

fn same(read: &Checkpoint) {
    assert_eq!(read.manifest, manifest());
    assert_eq!(read.states, states());
}

#[test]
fn a_checkpoint_reads_back_as_it_was_written() {
    same(&decode(&encode(&manifest(), &states()).unwrap()).unwrap());
    let none = decode(&encode(&manifest(), &[]).unwrap()).unwrap();
    assert!(none.states.is_empty());
    let empty = vec![("daily".to_owned(), states()[0].1.slice(0, 0))];
    assert_eq!(decode(&encode(&manifest(), &empty).unwrap()).unwrap().states, empty);
    let part = vec![("daily".to_owned(), states()[0].1.slice(1, 2))];
    assert_eq!(decode(&encode(&manifest(), &part).unwrap()).unwrap().states, part);
}

#[test]
fn the_same_checkpoint_has_the_same_bytes() {
    let bytes = encode(&manifest(), &states()).unwrap();
    assert_eq!(bytes, encode(&manifest(), &states()).unwrap());
}

#[test]
fn every_flipped_bit_is_detected() {
    let mut bytes = encode(&manifest(), &states()).unwrap();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            bytes[index] ^= 1 << bit;
            let read = decode(&bytes);
            assert!(matches!(read, Err(CheckpointError::Damaged(_))), "byte {index}, bit {bit}: {read:?}");
            bytes[index] ^= 1 << bit;
        }
    }
}

#[test]
fn every_cut_and_every_appended_byte_is_detected() {
    let mut bytes = encode(&manifest(), &states()).unwrap();
    for length in 0..bytes.len() {
        assert!(matches!(decode(&bytes[..length]), Err(CheckpointError::Damaged(_))), "{length}");
    }
    bytes.push(0);
    assert!(matches!(decode(&bytes), Err(CheckpointError::Damaged(_))));
}

#[test]
fn a_later_format_is_told_from_damage() {
    let mut bytes = encode(&manifest(), &states()).unwrap();
    bytes[8] = 2;
    reseal(&mut bytes);
    assert!(matches!(decode(&bytes), Err(CheckpointError::OtherFormat(2))));
}

/// With the digests made right again after a change, as only a forger would.
fn reseal(bytes: &mut [u8]) {
    let table_bytes = u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize;
    let mut entry = 28;
    while entry < 28 + table_bytes {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let (offset, length) = (number(entry + 8), number(entry + 16));
        let digest = digest_of_bytes(&bytes[offset..offset + length]);
        let name_bytes = u32::from_le_bytes(bytes[entry + 4..entry + 8].try_into().unwrap()) as usize;
        bytes[entry + 24..entry + 56].copy_from_slice(&digest.0);
        entry += 56 + name_bytes;
    }
    let trailer = digest_of_bytes(&bytes[..28 + table_bytes]);
    let end = bytes.len() - 32;
    bytes[end..].copy_from_slice(&trailer.0);
}

#[test]
fn a_forged_checkpoint_does_not_bring_the_reader_down() {
    let original = encode(&manifest(), &states()).unwrap();
    let table_bytes = u32::from_le_bytes(original[24..28].try_into().unwrap()) as usize;
    for index in 28 + table_bytes..original.len() - 32 {
        for change in [0x01, 0x40, 0xff] {
            let mut bytes = original.clone();
            bytes[index] ^= change;
            reseal(&mut bytes);
            let read = std::panic::catch_unwind(|| decode(&bytes).map(drop));
            assert!(read.is_ok(), "byte {index} changed by {change:#x}");
        }
    }
}

/// Written by version 0.1.0; `BLESS=1` writes it anew, which a released version must
/// never need.
#[test]
fn the_golden_checkpoint_of_format_1_reads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ckpt-v1.bin");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, encode(&manifest(), &states()).unwrap()).unwrap();
    }
    same(&decode(&std::fs::read(&path).unwrap()).unwrap());
}
