//! Ticks as the exchange's producer makes them: 12 fields, the same for the same plan.
//!
//! Disorder, broken records and nulls are part of a plan. Where a record goes is decided here too, so that
//! a test knows every record's partition and offset without reading the topic.

use std::collections::BTreeMap;

use chrono::DateTime;
use fastrand::Rng;

use crate::topics::Record;

const DAY_MS: i64 = 86_400_000;

/// What to make.
#[derive(Clone, Debug)]
pub struct Plan {
    pub rows: usize,
    pub symbols: usize,
    pub days: i64,
    /// The first tick's time, ms since 1970 UTC.
    pub start_ms: i64,
    /// Each event time is moved back by up to this.
    pub jitter_ms: i64,
    /// Records whose JSON is cut short.
    pub bad_per_million: u32,
    /// Of each number, how many are null.
    pub nulls_per_million: u32,
    pub seed: u64,
}

impl Default for Plan {
    /// Thirty days in order, from 2025-11-01, of twenty symbols, nothing wrong with them.
    fn default() -> Self {
        Self {
            rows: 20_000,
            symbols: 20,
            days: 30,
            start_ms: 1_761_955_200_000,
            jitter_ms: 0,
            bad_per_million: 0,
            nulls_per_million: 0,
            seed: 7,
        }
    }
}

/// One tick. A None is written as null.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub symbol: String,
    pub event_time_ms: i64,
    pub price: Option<f64>,
    pub open: Option<f64>,
    pub high: Option<f64>,
    pub low: Option<f64>,
    pub volume: Option<f64>,
    pub quote_volume: Option<f64>,
    pub number_trades: Option<i64>,
}

/// A record's place and what is in it; None for one that must be rejected.
#[derive(Clone, Debug)]
pub struct Placed {
    pub partition: i32,
    pub offset: i64,
    pub tick: Option<Tick>,
    pub value: Vec<u8>,
}

/// How records are spread over partitions.
#[derive(Clone, Copy, Debug)]
pub enum Spread {
    InTurn,
    /// As a producer with keys does; a partition may stay empty.
    BySymbol,
    Only(i32),
}

impl Plan {
    /// The records in the order in which they are written.
    pub fn records(&self, partitions: i32, spread: Spread) -> Vec<Placed> {
        self.stream(partitions, spread).collect()
    }

    /// The same, one after the other.
    pub fn stream(&self, partitions: i32, spread: Spread) -> impl Iterator<Item = Placed> + '_ {
        let mut rng = Rng::with_seed(self.seed);
        let mut market = Market::new(self.symbols, &mut rng);
        let mut offsets = BTreeMap::new();
        let place = move |index: usize, symbol: usize| match spread {
            Spread::InTurn => index as i32 % partitions,
            Spread::BySymbol => symbol as i32 % partitions,
            Spread::Only(partition) => partition,
        };
        (0..self.rows).map(move |index| {
            let symbol = rng.usize(..self.symbols);
            let tick = self.tick(index, symbol, &mut market, &mut rng);
            let partition = place(index, symbol);
            let next: &mut i64 = offsets.entry(partition).or_default();
            *next += 1;
            self.placed(partition, *next - 1, tick, &mut rng)
        })
    }

    fn tick(&self, index: usize, symbol: usize, market: &mut Market, rng: &mut Rng) -> Tick {
        let step_ms = (self.days * DAY_MS) as f64 / self.rows as f64;
        let jitter_ms = if self.jitter_ms > 0 { rng.i64(0..self.jitter_ms) } else { 0 };
        let mut tick = market.next(symbol, self.start_ms + (index as f64 * step_ms) as i64 - jitter_ms, rng);
        let floats = [&mut tick.price, &mut tick.open, &mut tick.high, &mut tick.low, &mut tick.volume];
        for field in floats {
            if rng.u32(..1_000_000) < self.nulls_per_million {
                *field = None;
            }
        }
        if rng.u32(..1_000_000) < self.nulls_per_million {
            tick.number_trades = None;
        }
        tick
    }

    fn placed(&self, partition: i32, offset: i64, tick: Tick, rng: &mut Rng) -> Placed {
        let mut value = tick.to_json().into_bytes();
        let bad = rng.u32(..1_000_000) < self.bad_per_million;
        if bad {
            value.truncate(rng.usize(..value.len()));
        }
        Placed { partition, offset, tick: (!bad).then_some(tick), value }
    }
}

impl Placed {
    /// As it is written to the topic. The key is the symbol where there is one.
    pub fn to_record(&self) -> Record {
        let key = self.tick.as_ref().map(|tick| tick.symbol.clone().into_bytes());
        Record { partition: self.partition, key, value: Some(self.value.clone()), timestamp_ms: None }
    }
}

impl Tick {
    /// The 12 fields.
    pub fn to_json(&self) -> String {
        let change = self.price.zip(self.open).map(|(price, open)| price - open);
        let percent = self.price.zip(self.open).map(|(price, open)| (price / open - 1.0) * 100.0);
        let time = DateTime::from_timestamp_millis(self.event_time_ms).unwrap_or_default();
        format!(
            r#"{{"symbol":"{}","event_time":{},"price":{},"open":{},"high":{},"low":{},"volume":{},"quote_volume":{},"number_trades":{},"price_change":{},"price_change_percent":{},"timestamp":"{}"}}"#,
            self.symbol,
            self.event_time_ms,
            number(self.price),
            number(self.open),
            number(self.high),
            number(self.low),
            number(self.volume),
            number(self.quote_volume),
            self.number_trades.map_or("null".into(), |count| count.to_string()),
            number(change),
            number(percent),
            time.format("%Y-%m-%dT%H:%M:%S%.3f"),
        )
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("null".into(), |value| format!("{value:?}"))
}

/// Prices that wander, one a symbol.
struct Market {
    prices: Vec<f64>,
}

impl Market {
    fn new(symbols: usize, rng: &mut Rng) -> Self {
        Self { prices: (0..symbols).map(|_| 1.0 + 1_000.0 * rng.f64()).collect() }
    }

    fn next(&mut self, symbol: usize, event_time_ms: i64, rng: &mut Rng) -> Tick {
        let price = cents(self.prices[symbol] * (1.0 + (rng.f64() - 0.5) / 1_000.0)).max(0.01);
        self.prices[symbol] = price;
        let volume = (rng.f64() * 1e5).round() / 1e5;
        Tick {
            symbol: name(symbol),
            event_time_ms,
            price: Some(price),
            open: Some(cents(price * (1.0 + (rng.f64() - 0.5) / 100.0)).max(0.01)),
            high: Some(cents(price * (1.0 + rng.f64() / 50.0))),
            low: Some(cents(price * (1.0 - rng.f64() / 50.0))),
            volume: Some(volume),
            quote_volume: Some(volume * price),
            number_trades: Some(rng.i64(1..20)),
        }
    }
}

fn cents(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn name(symbol: usize) -> String {
    match symbol {
        0 => "BTCUSDT".into(),
        1 => "ETHUSDT".into(),
        other => format!("S{other:05}USDT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_plan_gives_the_same_records_and_another_seed_others() {
        let plan = Plan { rows: 100, jitter_ms: 1_000, bad_per_million: 100_000, ..Plan::default() };
        let values =
            |plan: &Plan| plan.records(2, Spread::InTurn).into_iter().map(|r| r.value).collect::<Vec<_>>();
        assert_eq!(values(&plan), values(&plan));
        assert_ne!(values(&plan), values(&Plan { seed: 8, ..plan.clone() }));
    }

    #[test]
    fn ticks_are_json_of_twelve_fields_and_bad_ones_are_not() {
        let plan =
            Plan { rows: 500, bad_per_million: 200_000, nulls_per_million: 100_000, ..Plan::default() };
        let records = plan.records(1, Spread::InTurn);
        assert!(records.iter().any(|record| record.tick.is_none()));
        for record in records {
            let json = serde_json::from_slice::<serde_json::Value>(&record.value).ok();
            let fields = json.and_then(|value| value.as_object().map(serde_json::Map::len));
            assert_eq!(fields, record.tick.map(|_| 12));
        }
    }

    #[test]
    fn jitter_moves_times_back_and_never_further_than_asked() {
        let times = |jitter_ms: i64| {
            let records = Plan { rows: 300, jitter_ms, ..Plan::default() }.records(1, Spread::InTurn);
            records.into_iter().filter_map(|r| r.tick).map(|tick| tick.event_time_ms).collect::<Vec<_>>()
        };
        let moved: Vec<i64> =
            times(0).into_iter().zip(times(1_000)).map(|(there, here)| there - here).collect();
        assert!(moved.iter().all(|by_ms| (0..1_000).contains(by_ms)), "{moved:?}");
        assert!(moved.iter().any(|by_ms| *by_ms > 500));
    }

    #[test]
    fn offsets_count_up_in_each_partition() {
        for spread in [Spread::InTurn, Spread::BySymbol, Spread::Only(1)] {
            let records = Plan { rows: 90, ..Plan::default() }.records(3, spread);
            for partition in 0..3 {
                let offsets = records.iter().filter(|r| r.partition == partition).map(|r| r.offset);
                assert!(offsets.enumerate().all(|(index, offset)| index as i64 == offset));
            }
        }
    }
}
