//! DuckDB's answer over the same records, and what other readers see of an output.

mod joined;
mod walk;

use std::fs;

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::python;
use speed_layer_tests::reference::watermark_ms;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::HOUR_MS;

/// Arguments: the records as lines of JSON, the output, the watermark in ms. Prints the rows that differ.
const COMPARE: &str = r#"
import duckdb, sys
lines, output, watermark = sys.argv[1:]
db = duckdb.connect()
db.sql("set timezone = 'UTC'")
db.sql(f"""
create table ticks as select * from read_json('{lines}', format = 'newline_delimited', columns = {{
  partition: 'INT', place: 'BIGINT', symbol: 'VARCHAR', event_time: 'BIGINT', price: 'DOUBLE', open: 'DOUBLE',
  high: 'DOUBLE', low: 'DOUBLE', volume: 'DOUBLE', quote_volume: 'DOUBLE', number_trades: 'BIGINT'}})""")
db.sql("""
create view expected as select symbol, event_time // 86400000 as day,
  arg_min(open, (event_time, partition, place)) filter (open is not null) as daily_open,
  max(high) as daily_high, min(low) as daily_low,
  arg_max(price, (event_time, partition, place)) filter (price is not null) as daily_close,
  fsum(volume) as daily_volume, fsum(quote_volume) as daily_quote_volume,
  sum(number_trades)::bigint as total_trades, count(*) as tick_count, favg(price) as avg_price
from ticks group by all""")
db.sql(f"""
create view found as select * exclude (window_start, window_end), epoch_ms(window_start) // 86400000 as day
from read_parquet('{output}/**/*.parquet', hive_partitioning = true)""")
columns = ["daily_open", "daily_high", "daily_low", "daily_close", "total_trades", "tick_count"]
sums = ["daily_volume", "daily_quote_volume", "avg_price"]
same = [f"e.{c} is not distinct from f.{c}" for c in columns]
same += [f"(e.{c} is null and f.{c} is null or abs(e.{c} - f.{c}) <= 1e-9 * abs(e.{c}))" for c in sums]
wrong = db.sql(f"""
select count(*) from (select * from expected where (day + 1) * 86400000 <= {watermark}) e
full join found f using (symbol, day) where not coalesce({' and '.join(same)}, false)""").fetchall()[0][0]
print(wrong, db.sql("select count(*) from found").fetchall()[0][0])
"#;

/// Argument: the output. Prints how many rows Polars and pyarrow see, and of how many symbols.
const COUNT: &str = r#"
import sys, polars, pyarrow.dataset
scan = polars.scan_parquet(f"{sys.argv[1]}/**/*.parquet", hive_partitioning=True)
print(*scan.select(polars.len(), polars.col("symbol").n_unique().alias("symbols")).collect().row(0))
table = pyarrow.dataset.dataset(sys.argv[1], partitioning="hive").to_table()
print(len(table), len(table["symbol"].unique()))
"#;

/// A record's place, and its tick's fields.
fn line(record: &Placed) -> Option<String> {
    let json = record.tick.as_ref()?.to_json();
    let fields = json.strip_prefix('{')?;
    Some(format!(r#"{{"partition":{},"place":{},{fields}"#, record.partition, record.offset))
}

#[test]
fn duckdb_says_the_same_over_the_same_records_and_polars_and_pyarrow_see_every_row() {
    let broker = kafka::shared();
    let plan = Plan {
        rows: 60_000,
        jitter_ms: HOUR_MS / 2,
        nulls_per_million: 10_000,
        bad_per_million: 1_000,
        ..Plan::default()
    };
    let records = plan.records(2, Spread::InTurn);
    broker.topic_of("readers", 2, &records);
    let job = Job::new(broker, "readers").set("--max-records-per-trigger", 20_000);
    let summary = job.summary();
    let lines: Vec<String> = records.iter().filter_map(line).collect();
    let file = job.path("records.ndjson");
    fs::write(&file, lines.join("\n")).expect("room for it");
    let watermark = watermark_ms(&records, HOUR_MS).expect("there are rows").to_string();
    let output = job.path("output/daily").display().to_string();
    let answer = python::run(COMPARE, &[&file.display().to_string(), &output, &watermark]);
    assert_eq!(answer.expect("the script runs").trim(), format!("0 {}", summary["windows_out"]));
    let counts = python::run(COUNT, &[&output]).expect("the script runs");
    let expected = format!("{} 20", summary["windows_out"]);
    assert_eq!(counts.lines().collect::<Vec<_>>(), [expected.as_str(), expected.as_str()]);
}
