//! What rows cost before the aggregates: `cargo run --release -p speed-layer-plugin --example row_costs`.
//!
//! Prints nanoseconds a row for parsing ticks and for the transform, and the time that loading takes with and
//! without compiled code. Measures calls alone: no Kafka, no files but the components that `cargo xtask build`
//! left. The aggregates' part is `contract_costs`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use speed_layer_core::records::Records;
use speed_layer_plugin::{Context, Need, Origin, Plugin, PluginError, Runtime, RuntimeOptions};

type Done<T> = Result<T, Box<dyn Error>>;

const ROWS: usize = 10_000;
const CONTEXT: Context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };

fn main() -> Done<()> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let cache = tempfile::tempdir()?;
    let options = || RuntimeOptions { cache_dir: Some(cache.path().to_owned()), ..RuntimeOptions::default() };
    let runtime = Runtime::new(options())?;
    let path = |name: &str| -> PathBuf { plugins.join(format!("{name}.wasm")) };
    for name in ["ticker_json", "ticker_time", "ohlcv", "vwap"] {
        let (began, _) = (Instant::now(), runtime.load(&path(name))?);
        let compiled = began.elapsed();
        let began = Instant::now();
        Runtime::new(options())?.load(&path(name))?;
        println!("load {name}: compiled {compiled:?}, from the cache {:?}", began.elapsed());
    }
    let rows = parse(&runtime.load(&path("ticker_json"))?)?;
    transform(&runtime.load(&path("ticker_time"))?, &rows)
}

/// The best of many runs: the machine is busy with other things too.
fn report<T>(what: &str, mut call: impl FnMut() -> Result<T, PluginError>) -> Done<()> {
    let began = Instant::now();
    let mut best = Duration::MAX;
    while began.elapsed() < Duration::from_millis(1_500) {
        let call_began = Instant::now();
        call()?;
        best = best.min(call_began.elapsed());
    }
    println!("{what}: {:.1} ns a row", best.as_nanos() as f64 / ROWS as f64);
    Ok(())
}

fn ticks() -> Records {
    let mut records = Records::default();
    for row in 0..ROWS as i64 {
        let price = 60_000.0 + row as f64 / 8.0;
        let value = format!(
            "{{\"symbol\": \"SYM{:03}USDT\", \"price\": {price}, \"price_change\": -12.25, \
             \"price_change_percent\": -0.375, \"volume\": 1234.5678, \"quote_volume\": 74074068.5, \
             \"high\": {}, \"low\": {}, \"open\": {price}, \"event_time\": {}, \"number_trades\": {}, \
             \"ingestion_time\": \"2025-01-01T00:00:00.000000+00:00\"}}",
            row % 20,
            price + 1.0,
            price - 1.0,
            1_735_689_600_000 + row,
            1_000 + row
        );
        records.partitions.push(0);
        records.offsets.push(row);
        records.timestamps_ms.push(row);
        records.keys.push(None);
        records.values.push(Some(value.as_bytes()));
    }
    records
}

fn parse(plugin: &Plugin) -> Done<RecordBatch> {
    let records = ticks();
    let columns = plugin.describe_parse("{}")?.output.fields().len() as u32;
    let all: Vec<u32> = (0..columns).collect();
    let mut parser = plugin.open_parse("{}", &all)?;
    report("parse, all columns", || parser.parse(&CONTEXT, &records))?;
    let mut none = plugin.open_parse("{}", &[])?;
    report("parse, no column", || none.parse(&CONTEXT, &records))?;
    Ok(parser.parse(&CONTEXT, &records)?.rows)
}

fn transform(plugin: &Plugin, rows: &RecordBatch) -> Done<()> {
    let description = plugin.describe_transform("{}", &rows.schema())?;
    let computed =
        (0..).zip(&description.output).filter(|(_, column)| !matches!(column.origin, Origin::PassedOn(_)));
    let wanted: Vec<u32> = computed.map(|(number, _)| number).collect();
    let columns = columns(&description.needs, rows)?;
    let given: Vec<u32> = (0..columns.len() as u32).collect();
    let mut transform = plugin.open_transform("{}", &rows.schema(), &given, &wanted)?;
    report("transform, all computed columns", || transform.transform(&CONTEXT, ROWS, &columns))
}

fn columns(needs: &[Need], rows: &RecordBatch) -> Done<Vec<ArrayRef>> {
    let numbers = 0..ROWS as i64;
    let column = |need: &Need| -> Done<ArrayRef> {
        Ok(match need {
            Need::Column(name) => Arc::clone(rows.column_by_name(name).ok_or("no such column")?),
            Need::EventTime | Need::KafkaTimestamp => {
                Arc::new(TimestampMicrosecondArray::from_iter_values(numbers.clone()).with_timezone("UTC"))
            }
            Need::Partition | Need::Ordinal => Arc::new(Int32Array::from(vec![0; ROWS])),
            Need::Offset => Arc::new(Int64Array::from_iter_values(numbers.clone())),
        })
    };
    needs.iter().map(column).collect()
}
