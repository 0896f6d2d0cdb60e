//! What is in the Parquet files: the columns of the letters, the footer, bounded row
//! groups, and the digest of the bytes.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::basic::Compression;
use parquet::file::reader::{FileReader, SerializedFileReader};
use speed_layer_core::commit::{Codec, Epoch, Gap, Generation, JobName};
use speed_layer_store::Footer;
use speed_layer_store::footer::OffsetRange;
use speed_layer_store::letters::{DeadLetters, LateRow, LateRows, dead_letter_schema, late_schema};
use speed_layer_store::part::{ParquetPart, digest_of_bytes};

use crate::job::letter;

fn footer() -> Footer {
    Footer {
        job: JobName::new("daily").unwrap(),
        epoch: Epoch(5),
        generation: Generation(2),
        offsets: vec![OffsetRange { topic: "ticks".into(), partition: 1, lowest: 3, cut: 9 }],
        plugins: Vec::new(),
        closed_through_ms: Some(1000),
        clock_bound_ms: 2000,
        gaps: vec![Gap { topic: "ticks".into(), partition: 0, from: 1, to: 2, reason: "retention".into() }],
        recipe: None,
    }
}

fn write(rows: &[RecordBatch], codec: Codec) -> SerializedFileReader<bytes::Bytes> {
    let mut part = ParquetPart::new(Vec::new(), rows[0].schema(), codec).unwrap();
    rows.iter().for_each(|rows| part.write(rows).unwrap());
    let (bytes, facts) = part.finish(&footer()).unwrap();
    assert_eq!(facts.rows, rows.iter().map(|rows| rows.num_rows() as u64).sum::<u64>());
    assert_eq!(facts.bytes, bytes.len() as u64);
    assert_eq!(facts.sha256, digest_of_bytes(&bytes));
    SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap()
}

fn letters() -> RecordBatch {
    let mut letters = DeadLetters::default();
    letters.push(&letter(3, 5));
    letters.take().unwrap()
}

#[test]
fn a_file_says_what_it_was_made_of() {
    let file = write(&[letters()], Codec::Snappy);
    let metadata = file.metadata().file_metadata();
    assert!(metadata.created_by().unwrap().starts_with("speed-layer "));
    let of_key = |key: &str| {
        let entries = metadata.key_value_metadata().unwrap();
        entries.iter().find(|entry| entry.key == format!("speed-layer.{key}")).unwrap().value.clone().unwrap()
    };
    assert_eq!(of_key("job"), "daily");
    assert_eq!(of_key("epoch"), "5");
    assert_eq!(of_key("generation"), "2");
    assert_eq!(of_key("closed-through-ms"), "1000");
    assert_eq!(of_key("clock-bound-ms"), "2000");
    assert_eq!(of_key("offsets"), r#"[{"topic":"ticks","partition":1,"lowest":3,"cut":9}]"#);
    assert_eq!(of_key("plugins"), "[]");
    assert!(of_key("gaps").contains("retention"));
}

#[test]
fn pages_are_compressed_as_asked_and_have_statistics() {
    let of_column = |codec| write(&[letters()], codec).metadata().row_group(0).column(2).clone();
    assert_eq!(of_column(Codec::Snappy).compression(), Compression::SNAPPY);
    assert!(matches!(of_column(Codec::Zstd).compression(), Compression::ZSTD(_)));
    assert_eq!(of_column(Codec::Snappy).statistics().unwrap().null_count_opt(), Some(0));
}

#[test]
fn the_letters_have_the_columns_of_their_outputs() {
    let names =
        |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let letter_names = [
        "topic",
        "partition",
        "offset",
        "timestamp",
        "key",
        "value",
        "kind",
        "message",
        "stage",
        "aggregate",
        "plugin_digest",
        "epoch",
    ];
    assert_eq!(names(&dead_letter_schema()), letter_names);
    assert_eq!(names(&late_schema())[..12], letter_names);
    assert_eq!(names(&late_schema())[12..], ["window_start", "window_end", "late_by_ms"]);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(dead_letter_schema().field(3).data_type(), &instant);
}

#[test]
fn letters_are_taken_in_batches() {
    let mut rows = LateRows::default();
    let row = LateRow { letter: letter(1, 5), window_start_ms: -1, window_end_ms: i64::MAX, late_by_ms: 7 };
    rows.push(&row);
    rows.push(&row);
    assert_eq!((rows.len(), rows.is_empty()), (2, false));
    assert_eq!(rows.bytes(), 2 * ("it ends early".len() + 1));
    assert_eq!(rows.take().unwrap().num_rows(), 2);
    assert_eq!((rows.len(), rows.bytes()), (0, 0));
    assert_eq!(rows.take().unwrap().num_rows(), 0);
}

#[test]
fn a_long_file_is_written_in_row_groups() {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let batch = |from: i64| {
        let column = Int64Array::from_iter_values(from..from + 50_000);
        RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).unwrap()
    };
    let file = write(&(0..8).map(|n| batch(n * 50_000)).collect::<Vec<_>>(), Codec::Snappy);
    assert!(file.metadata().num_row_groups() >= 3);
    assert_eq!(file.metadata().file_metadata().num_rows(), 400_000);
}
