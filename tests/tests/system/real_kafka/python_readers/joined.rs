//! What DuckDB, pyarrow and Polars read from a joined copy, beside what they read from the output.

use speed_layer_tests::host;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::parquet_table::files;
use speed_layer_tests::python;
use speed_layer_tests::ticks::{Plan, Spread};

use super::super::{HOUR_MS, LIMIT};

/// Arguments: the output and its copy. Prints for each reader how many rows it sees in both, and whether they
/// are the same.
const COMPARE: &str = r#"
import duckdb, polars, pyarrow.dataset, sys
one, other = sys.argv[1:]
glob = lambda folder: f"{folder}/**/*.parquet"
db = duckdb.connect()
read = lambda folder: f"select * from read_parquet('{glob(folder)}', hive_partitioning = true)"
differ = db.sql(f"({read(one)} except all {read(other)}) union all ({read(other)} except all {read(one)})")
print(db.sql(f"select count(*) from ({read(other)})").fetchall()[0][0], len(differ.fetchall()) == 0)
order = ["symbol", "window_start"]
frames = [polars.read_parquet(glob(folder), hive_partitioning=True).sort(order) for folder in (one, other)]
print(frames[1].height, frames[0].equals(frames[1]) and frames[0].schema == frames[1].schema)
sort = [(name, "ascending") for name in order]
tables = [pyarrow.dataset.dataset(folder, partitioning="hive").to_table().sort_by(sort) for folder in (one, other)]
print(tables[1].num_rows, tables[0].equals(tables[1]))
"#;

#[test]
fn three_readers_see_the_same_rows_in_an_output_and_in_its_joined_copy() {
    let broker = kafka::shared();
    let plan = Plan { rows: 30_000, jitter_ms: HOUR_MS / 2, nulls_per_million: 10_000, ..Plan::default() };
    broker.topic_of("readers-joined", 2, &plan.records(2, Spread::InTurn));
    let job = Job::new(broker, "readers-joined").set("--max-records-per-trigger", 2_000);
    let windows = job.summary()["windows_out"].clone();
    let [output, copy] = ["output/daily", "joined"].map(|place| job.path(place).display().to_string());
    let done = host::run(&["compact", &output, "--into", &copy], LIMIT).expect("it ends");
    assert!(done.status.success(), "{}", done.told());
    let [before, after] = [&output, &copy].map(|folder| files(folder.as_ref()).expect("Parquet").len());
    assert!(after == 20 && before > 5 * after, "{before} files became {after}");
    let told = python::run(COMPARE, &[&output, &copy]).expect("the script runs");
    let expected = format!("{windows} True");
    assert_eq!(told.lines().collect::<Vec<_>>(), [expected.as_str(); 3]);
}
