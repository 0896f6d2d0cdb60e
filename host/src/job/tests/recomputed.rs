//! The daily table, computed plainly from the ticks, and read back from the files.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::memory::{MemoryTopic, Tick};

/// What is compared of a window: exact, because prices are whole cents and the volumes
/// are halves.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    pub trades: i64,
    pub ticks: i64,
}

pub type Table = BTreeMap<(String, i64), Row>;

/// The windows that the partitions' clocks have closed.
pub fn recompute(ticks: &[Tick], topic: &MemoryTopic, window_ms: i64, delay_ms: i64) -> Table {
    assert_eq!(topic.entries().count(), ticks.len());
    let mut greatest: BTreeMap<i32, i64> = BTreeMap::new();
    for (partition, _, tick) in topic.entries() {
        let held = greatest.entry(partition).or_insert(i64::MIN);
        *held = tick.event_time_ms.max(*held);
    }
    let mut table = table_of(topic.entries(), window_ms);
    let closed_ms = greatest.values().min().copied().unwrap_or(i64::MIN) - delay_ms;
    table.retain(|(_, start_ms), _| start_ms + window_ms <= closed_ms);
    table
}

/// The windows of these entries of a topic, open or not.
pub fn table_of<'a>(entries: impl Iterator<Item = (i32, i64, &'a Tick)>, window_ms: i64) -> Table {
    let mut order: Vec<_> =
        entries.map(|(partition, offset, tick)| (tick.event_time_ms, partition, offset, tick)).collect();
    order.sort_by_key(|(event_ms, partition, offset, _)| (*event_ms, *partition, *offset));
    let mut table = Table::new();
    for (event_ms, _, _, tick) in order {
        let start_ms = event_ms.div_euclid(window_ms) * window_ms;
        let price = tick.price;
        let row = table.entry((tick.symbol.clone(), start_ms)).or_insert(Row {
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0.0,
            trades: 0,
            ticks: 0,
        });
        row.high = row.high.max(price);
        row.low = row.low.min(price);
        row.close = price;
        row.volume += 1.5;
        row.trades += 2;
        row.ticks += 1;
    }
    table
}

/// The rows of all files below `output`; a window that is there twice fails the test.
pub fn published(output: &Path) -> Table {
    let mut table = Table::new();
    for folder in std::fs::read_dir(output).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let symbol = name.strip_prefix("symbol=").unwrap();
        for batch in batches(&folder) {
            add_rows(&mut table, |_| symbol.to_owned(), &batch);
        }
    }
    table
}

/// The rows of all files in a folder of partial windows, which have their key as a column.
pub fn partial(folder: &Path) -> Table {
    let mut table = Table::new();
    for batch in batches(folder) {
        let symbols = batch.column_by_name("symbol").unwrap().as_string::<i32>();
        assert!(batch.column_by_name("plugin_digest").is_some() && batch.column_by_name("epoch").is_some());
        add_rows(&mut table, |row| symbols.value(row).to_owned(), &batch);
    }
    table
}

/// The rows of all files in a folder; none if it is not there.
pub fn batches(folder: &Path) -> Vec<RecordBatch> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let open = |file: std::io::Result<std::fs::DirEntry>| std::fs::File::open(file.unwrap().path()).unwrap();
    let read = |file| ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    files.map(open).flat_map(read).map(Result::unwrap).collect()
}

fn add_rows(table: &mut Table, symbol: impl Fn(usize) -> String, batch: &RecordBatch) {
    let number = |name: &str, row: usize| {
        let column = batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        assert!(column.is_valid(row));
        column.value(row)
    };
    let whole =
        |name: &str, row: usize| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row);
    let starts = batch.column_by_name("window_start").unwrap().as_primitive::<TimestampMicrosecondType>();
    for row in 0..batch.num_rows() {
        let found = Row {
            open: number("daily_open", row),
            high: number("daily_high", row),
            low: number("daily_low", row),
            close: number("daily_close", row),
            volume: number("daily_volume", row),
            trades: whole("total_trades", row),
            ticks: whole("tick_count", row),
        };
        let twice = table.insert((symbol(row), starts.value(row) / 1000), found);
        assert_eq!(twice, None, "the window {} of {} is there twice", starts.value(row), symbol(row));
    }
}
