//! The records that all engines read, the same for the same case, and the result that is right.

use anyhow::Result;
use speed_layer_tests::kafka::Broker;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, differences};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use crate::plan::Case;

pub const TOPIC: &str = "ticks";
const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// What lies in the topic.
pub struct Ticks {
    pub records: usize,
    expected: Table,
}

impl Ticks {
    /// Writes thirty days of ticks, in order and keyed by symbol, as the exchange's producer does.
    pub fn write(case: &Case, broker: &Broker) -> Result<Self> {
        broker.create_topic(TOPIC, case.partitions, &[])?;
        let plan = Plan { rows: case.rows, symbols: case.symbols, ..Plan::default() };
        let mut kept = Vec::with_capacity(case.rows);
        let records = plan.stream(case.partitions, Spread::BySymbol).map(|placed| {
            let record = placed.to_record();
            kept.push(Placed { value: Vec::new(), ..placed });
            record
        });
        let records = broker.produce(TOPIC, case.codec.name(), records)?;
        let watermark_ms = watermark_ms(&kept, HOUR_MS);
        let expected = closed(ohlcv(&kept, DAY_MS, "daily"), DAY_MS, watermark_ms);
        Ok(Self { records: records as usize, expected })
    }

    /// What is wrong with a result; `None` if it is right.
    pub fn wrong(&self, found: &Table) -> Option<String> {
        let told = differences(&self.expected, found);
        let first = told.first()?;
        Some(format!("{} differences between {} rows, the first: {first}", told.len(), self.expected.len()))
    }
}
