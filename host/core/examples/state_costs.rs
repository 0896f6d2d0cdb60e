//! What states and grouping cost a row, at few and at many groups: prints one line a
//! case. `cargo run --release -p speed-layer-core --example state_costs`. Batches of
//! 10,000 rows of random groups, 2 MiB of states a call; the best of several rounds. It measures the host's
//! part alone: no plugin is called.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a measurement needs a clock and an output; the library has neither"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use speed_layer_core::group::{Assignment, GroupTable, Rows, chunk_ranges};
use speed_layer_core::key::KeyEncoder;
use speed_layer_core::state::{StateLayout, StateTable};
use speed_layer_core::time::WindowSpec;

const BATCH: usize = 10_000;
const STATE_BYTES_PER_CALL_MAX: usize = 2 << 20;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    for groups in [20, 100_000, 1_000_000] {
        states(&format!("17 words, {groups} groups"), &words()?, groups, 300)?;
    }
    for kib in [1, 16] {
        states(&format!("{kib} KiB of bytes, 100000 groups"), &sketch(kib * 1_024)?, 100_000, 30)?;
    }
    for groups in [20, 100_000, 1_000_000] {
        grouping(groups)?;
    }
    Ok(())
}

/// Nine accumulators as an OHLCV aggregate keeps them: 16 words of values, half of
/// them nullable, and one of validity.
fn words() -> Result<RecordBatch, Failed> {
    let field = |at: usize| match at % 2 {
        0 => Field::new(format!("f{at}"), DataType::Float64, true),
        _ => Field::new(format!("n{at}"), DataType::Int64, false),
    };
    let column = |at: usize| -> ArrayRef {
        match at % 2 {
            0 => Arc::new(Float64Array::from(vec![None])),
            _ => Arc::new(Int64Array::from(vec![0])),
        }
    };
    let schema = Schema::new((0..16).map(field).collect::<Vec<Field>>());
    Ok(RecordBatch::try_new(Arc::new(schema), (0..16).map(column).collect())?)
}

fn sketch(bytes: usize) -> Result<RecordBatch, Failed> {
    let schema = Schema::new(vec![Field::new("sketch", DataType::Binary, false)]);
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([vec![1_u8; bytes]]));
    Ok(RecordBatch::try_new(Arc::new(schema), vec![column])?)
}

/// Gather and scatter of a batch's distinct groups, nanoseconds a row of the batch.
fn states(case: &str, identity: &RecordBatch, groups: usize, rounds: usize) -> Result<(), Failed> {
    let layout = Arc::new(StateLayout::new(identity.schema())?);
    let mut table = StateTable::new(layout, identity)?;
    for _ in 0..groups {
        table.push_identity()?;
    }
    let mut random = 1;
    let mut used = vec![usize::MAX; groups];
    let mut best = [f64::MAX; 2];
    for round in 0..rounds {
        let all = (0..BATCH).map(|_| next(&mut random, groups));
        let slots: Vec<u32> =
            all.filter(|slot| std::mem::replace(&mut used[*slot as usize], round) != round).collect();
        let mut spent = [Duration::ZERO; 2];
        for range in chunk_ranges(&table, &slots, STATE_BYTES_PER_CALL_MAX) {
            let begin = Instant::now();
            let gathered = table.gather(&slots[range.clone()])?;
            let between = Instant::now();
            table.scatter(&slots[range], &gathered)?;
            spent = [spent[0] + (between - begin), spent[1] + between.elapsed()];
        }
        best = [0, 1].map(|at| best[at].min(spent[at].as_nanos() as f64 / BATCH as f64));
    }
    let [gather, scatter] = best;
    let mib = table.bytes() >> 20;
    println!(
        "{case}: gather {gather:.1} + scatter {scatter:.1} = {:.1} ns a row; {mib} MiB",
        gather + scatter
    );
    Ok(())
}

/// Encoding and finding the groups of a batch, nanoseconds a row.
fn grouping(groups: usize) -> Result<(), Failed> {
    let schema = Schema::new(vec![Field::new("symbol", DataType::Utf8, true)]);
    let encoder = KeyEncoder::new(&schema, &["symbol".to_owned()])?;
    let identity = words()?;
    let layout = Arc::new(StateLayout::new(identity.schema())?);
    let mut table = GroupTable::new(WindowSpec::new("1d".parse()?)?, layout, &identity)?;
    let (windows_us, partitions) = (vec![0; BATCH], vec![0; BATCH]);
    let offsets: Vec<i64> = (0..BATCH as i64).collect();
    let selected: Vec<u32> = (0..BATCH as u32).collect();
    let mut assignment = Assignment::default();
    let (mut random, mut best) = (1, f64::MAX);
    for _ in 0..(8 * groups / BATCH).max(200) {
        let symbols = (0..BATCH).map(|_| Some(format!("S{}USDT", next(&mut random, groups))));
        let symbols: ArrayRef = Arc::new(symbols.collect::<StringArray>());
        let begin = Instant::now();
        let keys = encoder.encode(&[symbols])?;
        let rows = Rows {
            keys: &keys,
            windows_us: &windows_us,
            partitions: &partitions,
            offsets: &offsets,
            selected: &selected,
        };
        table.assign(rows, &mut assignment)?;
        best = best.min(begin.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    println!("grouping, {} groups: {best:.1} ns a row; {} MiB", table.len(), table.bytes() >> 20);
    Ok(())
}

/// A random slot below `groups` (xorshift).
fn next(random: &mut u64, groups: usize) -> u32 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random % groups as u64) as u32
}
