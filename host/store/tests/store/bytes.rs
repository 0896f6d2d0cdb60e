//! A checkpoint's bytes: whatever is done to them is detected, and what was written
//! by a released version still reads.

use std::path::Path;
use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use speed_layer_core::commit::{
    AggregateProgress, Digest, Epoch, FORMAT_VERSION, Gap, Generation, HeldSpan, HeldWindows, JobName, Kind,
    Manifest, MovedOutput, OffsetMark, OutboxEntry, OutputId, OutputRoot, PluginUse, Progress, PublishEntry,
    SnapshotManifest, StageUse,
};
use speed_layer_core::group::{StoredGroups, WindowOffset};
use speed_layer_store::checkpoint::{Snapshot, decode, decode_snapshot, encode, encode_snapshot};
use speed_layer_store::part::digest_of_bytes;
use speed_layer_store::{Checkpoint, CheckpointError, States};

use crate::job::progress;

fn plugin(name: &str) -> PluginUse {
    let from = vec![OffsetMark { topic: "ticks".into(), partition: 0, offset: 0 }];
    PluginUse { name: name.into(), digest: Digest([7; 32]), config: Digest([9; 32]), from }
}

fn aggregate() -> AggregateProgress {
    AggregateProgress {
        name: "daily".into(),
        key: vec!["symbol".into()],
        window_ms: 86_400_000,
        delay_ms: 3_600_000,
        keep_key_column: false,
        idle_trigger_ms: None,
        closed_through_ms: Some(1_700_006_400_000),
        withheld_until_ms: None,
        state_version: 1,
        plugins: vec![plugin("ohlcv")],
        moved: None,
        opened_with: None,
        held: None,
        given_up: Vec::new(),
        windows: vec![],
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
        outbox: vec![],
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

fn groups() -> RecordBatch {
    let symbols: DictionaryArray<UInt32Type> = ["A", "B", "A"].into_iter().collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("symbol", Arc::new(symbols)),
        ("count", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
        ("note", Arc::new(StringArray::from(vec!["", "x", "longer"]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn states() -> States {
    let offset = WindowOffset { start_us: 1_700_006_400_000_000, partition: 0, offset: 3 };
    vec![("daily".to_owned(), StoredGroups { groups: Some(groups()), offsets: vec![offset] })]
}

fn snapshot() -> Vec<u8> {
    let manifest = SnapshotManifest {
        format: FORMAT_VERSION,
        job: JobName::new("daily").unwrap(),
        epoch: Epoch(5),
        of: Digest([3; 32]),
    };
    encode_snapshot(&manifest, &states()).unwrap()
}

fn delta() -> Manifest {
    Manifest { kind: Kind::Delta, base: Some(Epoch(3)), ..manifest() }
}

/// With what format 3 has brought.
fn reset() -> Manifest {
    let staged = "part-daily-g2-e0000000005-00001.snappy.parquet".to_owned();
    let path = format!("aggregate=daily/{staged}");
    let mut manifest = manifest();
    let moved = MovedOutput { from: "/data/daily".into(), to: "/data/vwap".into() };
    manifest.progress.aggregates[0].moved = Some(moved);
    manifest.outputs.push(OutputRoot { output: OutputId::Partial, path: "/data/daily.partial/daily".into() });
    let output = OutputId::Partial;
    manifest.publish.push(PublishEntry { output, staged, path, bytes: 2, rows: 1, sha256: Digest([4; 32]) });
    manifest
}

/// With what format 4 has brought.
fn sending() -> Manifest {
    let mut manifest = reset();
    let staged = "part-daily-g2-e0000000005-00002.snappy.parquet".to_owned();
    let path = staged.clone();
    let output = OutputId::DeadLetters;
    let file = PublishEntry { output, staged, path, bytes: 3, rows: 1, sha256: Digest([5; 32]) };
    manifest.outbox.push(OutboxEntry::of(file, "daily-letters"));
    manifest
}

fn same(read: &Checkpoint, manifest: &Manifest) {
    assert_eq!(read.manifest, *manifest);
    assert_eq!(read.states, states());
}

#[test]
fn a_checkpoint_reads_back_as_it_was_written() {
    same(&decode(&encode(&manifest(), &states()).unwrap()).unwrap(), &manifest());
    same(&decode(&encode(&delta(), &states()).unwrap()).unwrap(), &delta());
    let none = decode(&encode(&manifest(), &[]).unwrap()).unwrap();
    assert!(none.states.is_empty());
    let holds = |groups: RecordBatch| {
        let states = vec![("daily".to_owned(), StoredGroups { groups: Some(groups), offsets: vec![] })];
        assert_eq!(decode(&encode(&manifest(), &states).unwrap()).unwrap().states, states);
    };
    holds(groups().slice(0, 0));
    holds(groups().slice(1, 2));
}

#[test]
fn a_snapshot_reads_back_as_it_was_written_and_is_no_checkpoint() {
    let Snapshot { manifest: of, states: held } = decode_snapshot(&snapshot()).unwrap();
    assert_eq!((of.epoch, of.of, held), (Epoch(5), Digest([3; 32]), states()));
    assert!(matches!(decode(&snapshot()), Err(CheckpointError::Damaged(_))));
    let checkpoint = encode(&manifest(), &states()).unwrap();
    assert!(matches!(decode_snapshot(&checkpoint), Err(CheckpointError::Damaged(_))));
}

#[test]
fn the_same_checkpoint_has_the_same_bytes() {
    let bytes = encode(&manifest(), &states()).unwrap();
    assert_eq!(bytes, encode(&manifest(), &states()).unwrap());
}

/// How a kind of file is read, what it holds left aside.
type Read = fn(&[u8]) -> Result<(), CheckpointError>;

/// A file of each kind, and how it is read.
fn files() -> [(Vec<u8>, Read); 3] {
    let checkpoint: Read = |bytes| decode(bytes).map(drop);
    [
        (encode(&manifest(), &states()).unwrap(), checkpoint),
        (encode(&delta(), &states()).unwrap(), checkpoint),
        (snapshot(), |bytes| decode_snapshot(bytes).map(drop)),
    ]
}

#[test]
fn every_flipped_bit_is_detected() {
    for (mut bytes, read) in files() {
        for index in 0..bytes.len() {
            for bit in 0..8 {
                bytes[index] ^= 1 << bit;
                let read = read(&bytes);
                assert!(
                    matches!(read, Err(CheckpointError::Damaged(_))),
                    "byte {index}, bit {bit}: {read:?}"
                );
                bytes[index] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn every_cut_and_every_appended_byte_is_detected() {
    for (mut bytes, read) in files() {
        for length in 0..bytes.len() {
            assert!(matches!(read(&bytes[..length]), Err(CheckpointError::Damaged(_))), "{length}");
        }
        bytes.push(0);
        assert!(matches!(read(&bytes), Err(CheckpointError::Damaged(_))));
    }
}

#[test]
fn a_later_format_is_told_from_damage() {
    let mut bytes = encode(&manifest(), &states()).unwrap();
    for other in [0, FORMAT_VERSION as u8 + 1] {
        bytes[8] = other;
        reseal(&mut bytes);
        assert!(
            matches!(decode(&bytes), Err(CheckpointError::OtherFormat(found)) if found == u32::from(other))
        );
    }
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
    for (original, read) in files() {
        let table_bytes = u32::from_le_bytes(original[24..28].try_into().unwrap()) as usize;
        for index in 28 + table_bytes..original.len() - 32 {
            for change in [0x01, 0x40, 0xff] {
                let mut bytes = original.clone();
                bytes[index] ^= change;
                reseal(&mut bytes);
                let read = std::panic::catch_unwind(|| read(&bytes));
                assert!(read.is_ok(), "byte {index} changed by {change:#x}");
            }
        }
    }
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

/// A checkpoint with windows that are closed and not published.
fn holding() -> Manifest {
    let mut manifest = sending();
    let cut = vec![OffsetMark { topic: "ticks".into(), partition: 0, offset: 5 }];
    let spans = vec![HeldSpan { through_ms: 86_400_000, closed_at_ms: 7, cut }];
    manifest.progress.aggregates[0].held = Some(HeldWindows { released_through_ms: None, spans });
    manifest
}

/// Format 1 had the windows' offsets in the manifest.
#[test]
fn the_golden_checkpoint_of_format_1_reads() {
    same(&decode(&golden("ckpt-v1.bin")).unwrap(), &Manifest { format: 1, ..manifest() });
}

#[test]
fn the_golden_files_of_format_2_read() {
    same(&decode(&golden("ckpt-v2-full.bin")).unwrap(), &Manifest { format: 2, ..manifest() });
    same(&decode(&golden("ckpt-v2-delta.bin")).unwrap(), &Manifest { format: 2, ..delta() });
    let snapshot = decode_snapshot(&golden("snapshot-v2.bin")).unwrap();
    assert_eq!((snapshot.manifest.format, snapshot.states), (2, states()));
}

#[test]
fn the_golden_files_of_format_3_read() {
    same(&decode(&golden("ckpt-v3-full.bin")).unwrap(), &Manifest { format: 3, ..reset() });
    same(&decode(&golden("ckpt-v3-delta.bin")).unwrap(), &Manifest { format: 3, ..delta() });
    let snapshot = decode_snapshot(&golden("snapshot-v3.bin")).unwrap();
    assert_eq!((snapshot.manifest.format, snapshot.states), (3, states()));
}

#[test]
fn the_golden_files_of_format_4_read() {
    same(&decode(&golden("ckpt-v4-full.bin")).unwrap(), &Manifest { format: 4, ..sending() });
    same(&decode(&golden("ckpt-v4-delta.bin")).unwrap(), &Manifest { format: 4, ..delta() });
    let snapshot = decode_snapshot(&golden("snapshot-v4.bin")).unwrap();
    assert_eq!((snapshot.manifest.format, snapshot.states), (4, states()));
}

/// `BLESS=1` writes them anew, which a released format must never need.
#[test]
fn the_golden_files_of_format_5_read() {
    let written = [
        ("ckpt-v5-full.bin", encode(&holding(), &states()).unwrap()),
        ("ckpt-v5-delta.bin", encode(&delta(), &states()).unwrap()),
        ("snapshot-v5.bin", snapshot()),
    ];
    if std::env::var_os("BLESS").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        written.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
    }
    same(&decode(&golden("ckpt-v5-full.bin")).unwrap(), &holding());
    same(&decode(&golden("ckpt-v5-delta.bin")).unwrap(), &delta());
    assert_eq!(decode_snapshot(&golden("snapshot-v5.bin")).unwrap(), decode_snapshot(&snapshot()).unwrap());
}
