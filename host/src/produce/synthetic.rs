//! Ticks like an exchange's: the 12 fields, prices that walk at random, volumes
//! that add up. The same seed gives the same ticks.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Message, Messages};

/// How many ticks, of what, spread over which time.
#[derive(Debug, Clone)]
pub struct TickPlan {
    pub symbols: Vec<String>,
    pub seed: u64,
    pub count: u64,
    /// Event time of the first tick, milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// Milliseconds of event time that the ticks are spread over evenly; `None`: each
    /// tick happens when it is made.
    pub spread_ms: Option<i64>,
}

pub struct Ticks {
    plan: TickPlan,
    made: u64,
    markets: Vec<Market>,
    random: fastrand::Rng,
}

struct Market {
    price: f64,
    open: f64,
    high: f64,
    low: f64,
    volume: f64,
    quote_volume: f64,
    number_trades: i64,
}

#[derive(Serialize)]
struct Tick<'a> {
    symbol: &'a str,
    event_time: i64,
    price: f64,
    open: f64,
    high: f64,
    low: f64,
    volume: f64,
    quote_volume: f64,
    number_trades: i64,
    price_change: f64,
    price_change_percent: f64,
    timestamp: String,
}

impl Ticks {
    pub fn new(plan: TickPlan) -> Self {
        let mut random = fastrand::Rng::with_seed(plan.seed);
        let markets = plan.symbols.iter().map(|_| Market::open(&mut random)).collect();
        Self { plan, made: 0, markets, random }
    }

    fn event_time_ms(&self) -> i64 {
        match self.plan.spread_ms {
            Some(spread_ms) => {
                let share =
                    i128::from(self.made) * i128::from(spread_ms) / i128::from(self.plan.count.max(1));
                self.plan.start_ms + share as i64
            }
            None => Utc::now().timestamp_millis(),
        }
    }
}

impl Messages for Ticks {
    fn next(&mut self, message: &mut Message) -> anyhow::Result<bool> {
        if self.made == self.plan.count {
            return Ok(false);
        }
        let event_time = self.event_time_ms();
        let index = (self.made % self.plan.symbols.len() as u64) as usize;
        let symbol = &self.plan.symbols[index];
        let market = &mut self.markets[index];
        market.trade(&mut self.random);
        message.key.clear();
        message.key.extend_from_slice(symbol.as_bytes());
        message.value.clear();
        serde_json::to_writer(&mut message.value, &market.tick(symbol, event_time))?;
        self.made += 1;
        Ok(true)
    }
}

impl Market {
    fn open(random: &mut fastrand::Rng) -> Self {
        let price = round(10.0 + 50_000.0 * random.f64() * random.f64(), 2);
        Self { price, open: price, high: price, low: price, volume: 0.0, quote_volume: 0.0, number_trades: 0 }
    }

    fn trade(&mut self, random: &mut fastrand::Rng) {
        let step = 1.0 + (random.f64() - 0.5) * 4e-4;
        self.price = round(self.price * step, 2).max(0.01);
        self.high = self.high.max(self.price);
        self.low = self.low.min(self.price);
        let quantity = random.f64();
        self.volume += quantity;
        self.quote_volume += quantity * self.price;
        self.number_trades += random.i64(1..20);
    }

    fn tick<'a>(&self, symbol: &'a str, event_time: i64) -> Tick<'a> {
        let time = DateTime::<Utc>::from_timestamp_millis(event_time).unwrap_or_default();
        Tick {
            symbol,
            event_time,
            price: self.price,
            open: self.open,
            high: self.high,
            low: self.low,
            volume: round(self.volume, 5),
            quote_volume: round(self.quote_volume, 8),
            number_trades: self.number_trades,
            price_change: round(self.price - self.open, 2),
            price_change_percent: round((self.price / self.open - 1.0) * 100.0, 3),
            timestamp: time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        }
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// `count` symbols: the two that everybody knows, then numbered ones.
pub fn symbol_names(count: usize) -> Vec<String> {
    let known = ["BTCUSDT".to_owned(), "ETHUSDT".to_owned()];
    known.into_iter().chain((2..).map(|number| format!("S{number:05}USDT"))).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(seed: u64) -> Vec<Vec<u8>> {
        let plan =
            TickPlan { symbols: symbol_names(3), seed, count: 9, start_ms: 1_000, spread_ms: Some(90) };
        let mut source = Ticks::new(plan);
        let mut message = Message::default();
        let mut all = Vec::new();
        while source.next(&mut message).unwrap() {
            all.push(message.value.clone());
        }
        all
    }

    #[test]
    fn the_same_seed_gives_the_same_ticks_and_another_seed_others() {
        assert_eq!(ticks(7), ticks(7));
        assert_ne!(ticks(7), ticks(8));
    }

    #[test]
    fn ticks_have_the_twelve_fields_and_are_spread_over_their_time() {
        let all = ticks(1);
        assert_eq!(all.len(), 9);
        for (i, text) in all.iter().enumerate() {
            let tick: serde_json::Value = serde_json::from_slice(text).unwrap();
            assert_eq!(tick.as_object().unwrap().len(), 12);
            assert_eq!(tick["event_time"], 1_000 + 10 * i as i64);
        }
    }
}
