//! What a step of an aggregate costs, by which the contract was judged: batches of 8,192 rows of
//! random groups through the real state table, the real runtime and real components.
//!
//! `cargo xtask build`, then `cargo run --release -p speed-layer-plugin --example contract_costs`. Prints
//! nanoseconds a row: gathering states, `update`, scattering, the whole step, and `update` without a
//! pair: the plain boundary. Then the whole step once more by the bytes of states that a call may
//! have. All groups have had rows before. The best of several rounds, since the machine does other
//! things too. Finding the groups of rows is not in it (the core's `state_costs` has that), nor are
//! loading, parsing and transforming (`row_costs`).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take_record_batch;
use speed_layer_core::group::Assignment;
use speed_layer_core::state::{StateLayout, StateTable};
use speed_layer_plugin::{Aggregator, Context, Need, Runtime, RuntimeOptions};

type Done<T> = Result<T, Box<dyn std::error::Error>>;

const ROWS: usize = 8_192;
const MEASURED_FOR: Duration = Duration::from_secs(2);
/// What the host gives a call at most.
const STATE_BYTES_PER_CALL_MAX: usize = 2 << 20;
const CONTEXT: Context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };
const PRICES: [&str; 6] = ["open", "high", "low", "price", "volume", "quote_volume"];

fn main() -> Done<()> {
    let runtime = Runtime::new(RuntimeOptions::default())?;
    println!("| aggregate | groups | gather | update | scatter | whole step | plain boundary |");
    println!("|---|---|---|---|---|---|---|");
    for component in ["plugins/ohlcv", "plugins/vwap"] {
        for groups in [20, 100_000, 1_000_000] {
            Case::open(&runtime, component, "{}", groups)?.report()?;
        }
    }
    let sketch = |registers| format!(r#"{{"registers": {registers}}}"#);
    for registers in [1_024, 16_384] {
        Case::open(&runtime, "test-plugins/sketch", &sketch(registers), 100_000)?.report()?;
    }
    println!("\n| aggregate | groups | MiB of states a call | calls a batch | whole step |");
    println!("|---|---|---|---|---|");
    for (component, config, groups) in [
        ("plugins/ohlcv", "{}".to_owned(), 1_000_000),
        ("test-plugins/sketch", sketch(1_024), 100_000),
        ("test-plugins/sketch", sketch(16_384), 100_000),
    ] {
        Case::open(&runtime, component, &config, groups)?.report_by_call_size()?;
    }
    Ok(())
}

/// One aggregate and its groups, and how many batches they have had.
struct Case {
    name: String,
    groups: usize,
    aggregator: Aggregator,
    needs: Vec<Need>,
    states: StateTable,
    batches: i64,
    random: u64,
}

/// What one step took, part by part.
#[derive(Clone, Copy)]
struct Cost {
    gather: Duration,
    update: Duration,
    scatter: Duration,
    step: Duration,
    boundary: Duration,
    calls: usize,
}

const NOTHING: Cost = Cost {
    gather: Duration::ZERO,
    update: Duration::ZERO,
    scatter: Duration::ZERO,
    step: Duration::ZERO,
    boundary: Duration::ZERO,
    calls: 0,
};

impl Case {
    fn open(runtime: &Runtime, component: &str, config: &str, groups: usize) -> Done<Self> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        let plugin = runtime.load(&target.join(component).with_extension("wasm"))?;
        let input = input();
        let description = plugin.describe_aggregate(config, &input)?;
        let columns = columns(&description.needs, 0);
        let mut aggregator = plugin.open_aggregate(config, &input)?;
        let identity = &description.state.identity;
        let used = aggregator.update(&CONTEXT, ROWS, &columns, &[0], &[0], identity)?;
        let layout = Arc::new(StateLayout::new(description.state.schema)?);
        let mut states = StateTable::new(layout, identity)?;
        for _ in 0..groups.div_ceil(ROWS) {
            let many = groups.min(states.len() + ROWS) - states.len();
            states.append(&take_record_batch(&used, &UInt32Array::from(vec![0; many]))?)?;
        }
        let state_bytes = states.state_bytes(0);
        let name = format!("{}, {state_bytes} bytes of state", plugin.id().name);
        Ok(Self { name, groups, aggregator, needs: description.needs, states, batches: 0, random: 1 })
    }

    fn report(&mut self) -> Done<()> {
        let best = self.best(STATE_BYTES_PER_CALL_MAX)?;
        let [gather, update, scatter, step, boundary] =
            [best.gather, best.update, best.scatter, best.step, best.boundary].map(ns_a_row);
        let (name, groups) = (&self.name, self.groups);
        println!("| {name} | {groups} | {gather} | {update} | {scatter} | {step} | {boundary} |");
        Ok(())
    }

    fn report_by_call_size(&mut self) -> Done<()> {
        for mib in [1, 2, 4, 8, 16, 32] {
            let best = self.best(mib << 20)?;
            let (name, groups, step) = (&self.name, self.groups, ns_a_row(best.step));
            println!("| {name} | {groups} | {mib} | {} | {step} |", best.calls);
        }
        Ok(())
    }

    /// The least of each part over the rounds.
    fn best(&mut self, state_bytes_max: usize) -> Done<Cost> {
        let (mut best, began) = (self.step(state_bytes_max)?, Instant::now());
        while began.elapsed() < MEASURED_FOR {
            let cost = self.step(state_bytes_max)?;
            best = Cost {
                gather: best.gather.min(cost.gather),
                update: best.update.min(cost.update),
                scatter: best.scatter.min(cost.scatter),
                step: best.step.min(cost.step),
                boundary: best.boundary.min(cost.boundary),
                calls: cost.calls,
            };
        }
        Ok(best)
    }

    /// Folds a batch of newer rows into a new choice of groups, as a worker does.
    fn step(&mut self, state_bytes_max: usize) -> Done<Cost> {
        let assignment = self.assign();
        self.batches += 1;
        let columns = columns(&self.needs, self.batches);
        let (mut cost, mut boundary) = (NOTHING, Duration::ZERO);
        let began = Instant::now();
        for chunk in assignment.chunks(&self.states, state_bytes_max) {
            let held = timed(&mut cost.gather, || self.states.gather(&chunk.slots))?;
            let aggregator = &mut self.aggregator;
            let mut update = |rows: &[u32], groups: &[u32], states: &RecordBatch| {
                aggregator.update(&CONTEXT, ROWS, &columns, rows, groups, states)
            };
            timed(&mut boundary, || update(&[], &[], &held))?;
            let after = timed(&mut cost.update, || update(&chunk.rows, &chunk.groups, &held))?;
            timed(&mut cost.scatter, || self.states.scatter(&chunk.slots, &after))?;
            cost.calls += 1;
        }
        Ok(Cost { step: began.elapsed() - boundary, boundary, ..cost })
    }

    /// Random groups for all rows, numbered in the order in which they first occur.
    fn assign(&mut self) -> Assignment {
        let mut assignment = Assignment { rows: (0..ROWS as u32).collect(), ..Assignment::default() };
        let mut number_of = std::collections::HashMap::new();
        for _ in 0..ROWS {
            let slot = self.next() % self.groups as u64;
            let number = *number_of.entry(slot).or_insert_with(|| {
                assignment.slots.push(slot as u32);
                assignment.slots.len() as u32 - 1
            });
            assignment.groups.push(number);
        }
        assignment
    }

    /// Random bits (xorshift).
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

fn timed<T, E>(spent: &mut Duration, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let began = Instant::now();
    let result = call();
    *spent += began.elapsed();
    result
}

fn ns_a_row(spent: Duration) -> String {
    let ns = spent.as_nanos() as f64 / ROWS as f64;
    if ns < 100.0 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}

/// The columns of a tick that the aggregates read.
fn input() -> SchemaRef {
    let prices = PRICES.map(|name| Field::new(name, DataType::Float64, true)).into_iter();
    let trades = Field::new("number_trades", DataType::Int64, true);
    Arc::new(Schema::new(prices.chain([trades]).collect::<Vec<_>>()))
}

/// Batch after batch times and offsets rise and prices wander; no column has a null.
fn columns(needs: &[Need], batch: i64) -> Vec<ArrayRef> {
    let numbers = || batch * ROWS as i64..(batch + 1) * ROWS as i64;
    let price = |row: i64| 60_000.0 + (row * 37 % 1_000) as f64;
    let column = |need: &Need| -> ArrayRef {
        match need {
            Need::Column(name) if PRICES.contains(&name.as_str()) => {
                Arc::new(Float64Array::from_iter_values(numbers().map(price)))
            }
            Need::EventTime | Need::KafkaTimestamp => {
                Arc::new(TimestampMicrosecondArray::from_iter_values(numbers()).with_timezone("UTC"))
            }
            Need::Partition | Need::Ordinal => Arc::new(Int32Array::from(vec![0; ROWS])),
            Need::Column(_) | Need::Offset => Arc::new(Int64Array::from_iter_values(numbers())),
        }
    };
    needs.iter().map(column).collect()
}
