//! Topics that are full before a run begins, and what must come of them.

use anyhow::Result;
use speed_layer_tests::kafka::Broker;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::Table;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

const PARTITIONS: i32 = 2;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const MINUTE_MS: i64 = 60_000;
/// Fast to write and to read: the broker shares the machine.
const CODEC: &str = "lz4";
/// Some more than there are to be groups, since some are hit by no row.
const ROWS_PER_GROUP: usize = 5;

/// A topic and the rows that a job over it must publish.
pub struct Load {
    pub topic: String,
    pub rows: usize,
    /// So many rows have to be in before the first swap.
    pub rows_before: usize,
    /// Open at every swap, about.
    pub groups: usize,
    pub expected: Table,
}

impl Load {
    /// Twenty symbols over many days, a window each: some of them close all along.
    ///
    /// # Errors
    /// The broker refuses it.
    pub fn of_days(broker: &Broker, topic: &str, rows: usize) -> Result<Self> {
        const DAYS: usize = 60;
        broker.create_topic(topic, PARTITIONS, &[])?;
        let (mut expected, mut last) = (Table::new(), Vec::new());
        for day in 0..DAYS {
            let start_ms = Plan::default().start_ms + day as i64 * DAY_MS;
            // An even number, so that each day begins with the first partition.
            let plan =
                Plan { rows: rows / DAYS / 2 * 2, days: 1, start_ms, seed: day as u64, ..Plan::default() };
            last = written(broker, topic, &plan)?;
            expected.append(&mut ohlcv(&last, DAY_MS, "daily"));
        }
        let expected = closed(expected, DAY_MS, watermark_ms(&last, HOUR_MS));
        let rows = rows / DAYS / 2 * 2 * DAYS;
        Ok(Self { topic: topic.to_owned(), rows, rows_before: 1, groups: 20, expected })
    }

    /// Windows of a minute, none of which closes before the last records, which are a year younger.
    ///
    /// # Errors
    /// The broker refuses it.
    pub fn of_open_groups(broker: &Broker, topic: &str, groups: usize, rows: usize) -> Result<Self> {
        broker.create_topic(topic, PARTITIONS, &[])?;
        let days = (groups as i64 / Plan::default().symbols as i64 * MINUTE_MS).div_euclid(DAY_MS) + 1;
        let rows_before = groups * ROWS_PER_GROUP / 2 * 2;
        let opening = Plan { rows: rows_before, days, ..Plan::default() };
        let more = Plan { rows: rows / 2 * 2, days, seed: 8, ..Plan::default() };
        let closing_ms = opening.start_ms + 90 * DAY_MS;
        let closing = Plan { rows: 200, days: 1, start_ms: closing_ms, seed: 9, ..Plan::default() };
        let mut all = Vec::new();
        for plan in [opening, more, closing] {
            let next = all.len() as i64 / i64::from(PARTITIONS);
            let records = written(broker, topic, &plan)?;
            all.extend(records.into_iter().map(|record| Placed { offset: record.offset + next, ..record }));
        }
        let watermark = watermark_ms(&all, 30 * DAY_MS);
        let expected = closed(ohlcv(&all, MINUTE_MS, "daily"), MINUTE_MS, watermark);
        let groups = expected.len();
        Ok(Self { topic: topic.to_owned(), rows: all.len(), rows_before, groups, expected })
    }
}

fn written(broker: &Broker, topic: &str, plan: &Plan) -> Result<Vec<Placed>> {
    let records = plan.records(PARTITIONS, Spread::InTurn);
    broker.produce(topic, CODEC, records.iter().map(Placed::to_record))?;
    Ok(records)
}
