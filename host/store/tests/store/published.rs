//! Published files read again: what was written, whatever was not, and bytes that broke.

use std::fs;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use speed_layer_core::commit::{Codec, Epoch, Generation, JobName};
use speed_layer_store::footer::OffsetRange;
use speed_layer_store::letters::{DeadLetters, Letter};
use speed_layer_store::part::ParquetPart;
use speed_layer_store::published::parquet_files;
use speed_layer_store::refusals::{ClockRefusal, clock_refusals};
use speed_layer_store::{FileError, Footer, PublishedFile};
use tempfile::TempDir;

use crate::job::letter;

fn footer(epoch: u64, bound_ms: i64, lowest: i64, cut: i64) -> Footer {
    Footer {
        job: JobName::new("daily").unwrap(),
        epoch: Epoch(epoch),
        generation: Generation(1),
        offsets: vec![OffsetRange { topic: "ticks".into(), partition: 0, lowest, cut }],
        plugins: Vec::new(),
        closed_through_ms: None,
        clock_bound_ms: bound_ms,
        gaps: Vec::new(),
        recipe: None,
    }
}

/// Letters of the offsets `from..to`, every other one refused by the clock.
fn letters(from: i64, to: i64) -> RecordBatch {
    let mut letters = DeadLetters::default();
    for offset in from..to {
        let stage = if offset % 2 == 0 { "clock" } else { "parse" };
        letters.push(&Letter { stage, ..letter(offset, 5) });
    }
    letters.take().unwrap()
}

fn write(folder: &TempDir, name: &str, rows: &RecordBatch, footer: &Footer) -> PathBuf {
    let mut part = ParquetPart::new(Vec::new(), rows.schema(), Codec::Snappy).unwrap();
    part.write(rows).unwrap();
    let path = folder.path().join(name);
    fs::write(&path, part.finish(footer).unwrap().0).unwrap();
    path
}

#[test]
fn a_file_reads_back_with_its_footer_and_rows() {
    let folder = TempDir::new().unwrap();
    let (rows, footer) = (letters(0, 7), footer(3, 1000, 0, 7));
    let file = PublishedFile::open(&write(&folder, "a.parquet", &rows, &footer)).unwrap();
    assert_eq!((file.rows, &file.footer, file.schema.fields()), (7, &footer, rows.schema().fields()));
    assert_eq!(file.read_rows().unwrap()[0].columns(), rows.columns());
    let two = file.read_columns(&["partition", "offset"]).unwrap();
    assert_eq!(two[0].columns(), &rows.columns()[1..3]);
}

#[test]
fn the_clocks_refusals_are_those_of_the_stage_in_files_that_concern() {
    let folder = TempDir::new().unwrap();
    write(&folder, "a.parquet", &letters(0, 3), &footer(3, 1000, 0, 10));
    write(&folder, "b.parquet", &letters(10, 12), &footer(4, 2000, 10, 20));
    let refusal = |offset, bound_ms| ClockRefusal { partition: letter(0, 5).partition, offset, bound_ms };
    let all = clock_refusals(folder.path(), |_| true).unwrap();
    assert_eq!(all, [refusal(0, 1000), refusal(2, 1000), refusal(10, 2000)]);
    let late = clock_refusals(folder.path(), |range| range.cut > 10).unwrap();
    assert_eq!(late, [refusal(10, 2000)]);
    assert_eq!(clock_refusals(&folder.path().join("nowhere"), |_| true).unwrap(), []);
}

#[test]
fn a_file_that_cannot_be_used_is_told_from_one_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.parquet");
    assert!(matches!(PublishedFile::open(&path), Err(FileError::Missing { .. })));
    assert!(matches!(PublishedFile::open(folder.path()), Err(FileError::Io { .. })));
    fs::write(&path, "text").unwrap();
    assert!(matches!(PublishedFile::open(&path), Err(FileError::NotParquet { .. })));
    assert_eq!(parquet_files(folder.path()).unwrap(), [path]);
}

/// Whatever byte broke, there is an answer; where the file was cut short, a refusal.
#[test]
fn broken_bytes_are_answered_in_order() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "a.parquet", &letters(0, 20), &footer(3, 1000, 0, 20));
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        fs::write(&path, &broken).unwrap();
        refused += usize::from(PublishedFile::open(&path).and_then(|file| file.read_rows()).is_err());
        fs::write(&path, &whole[..at]).unwrap();
        assert!(PublishedFile::open(&path).is_err(), "cut at {at}");
    }
    assert!(refused > 50, "{refused}");
}
