//! DuckDB, pyarrow and Polars read folders of Parquet as we lay them out.
//!
//! This is about the environment and the layout alone; the files are written here, not by the program.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Float64Array, RecordBatch, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use speed_layer_tests::{parquet_table, python};

const COUNT_AND_SUM: &str = r#"
import sys, duckdb, polars, pyarrow.dataset
folder = sys.argv[1]
glob = folder + "/**/*.parquet"
query = f"select count(*), sum(daily_open) from read_parquet('{glob}', hive_partitioning=true) where symbol = 'A/B'"
print(*duckdb.connect().execute(query).fetchone())
table = pyarrow.dataset.dataset(folder, partitioning="hive").to_table()
print(table.num_rows, sorted(set(table["symbol"].to_pylist())))
frame = polars.read_parquet(glob, hive_partitioning=True)
print(frame.height, frame.schema["window_start"])
"#;

fn write(folder: &Path, opens: &[f64]) {
    let days = 0..opens.len() as i64;
    let starts = TimestampMicrosecondArray::from_iter_values(days.map(|day| day * 86_400_000_000));
    let columns = RecordBatch::try_from_iter([
        ("window_start", Arc::new(starts.with_timezone("UTC")) as _),
        ("daily_open", Arc::new(Float64Array::from(opens.to_vec())) as _),
    ]);
    let batch = columns.expect("columns of one length");
    fs::create_dir_all(folder).expect("a folder");
    let file = File::create(folder.join("part.parquet")).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("it is written");
    writer.close().expect("it is closed");
}

#[test]
fn three_readers_and_our_own_read_a_folder_a_key() {
    let output = tempfile::tempdir().expect("a folder");
    write(&output.path().join("symbol=A%2FB"), &[1.5, 2.5]);
    write(&output.path().join("symbol=C"), &[10.0]);
    let path = output.path().to_str().expect("a path in UTF-8");
    let told = python::run(COUNT_AND_SUM, &[path]).expect("the script runs");
    let expected = ["2 4.0", "3 ['A/B', 'C']", "3 Datetime(time_unit='us', time_zone='UTC')"];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    assert_eq!(parquet_table::read(output.path(), "symbol").expect("a table").len(), 3);
}
