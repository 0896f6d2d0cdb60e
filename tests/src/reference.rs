//! The results computed again from the records, in the plainest way: sort, group, loop.
//!
//! Late rows are not known here: a test that has some takes them out of the records first.

use std::collections::BTreeMap;

use crate::table::{Group, Row, Table, Value};
use crate::ticks::{Placed, Tick};

/// The nine outputs of the `ohlcv` aggregate for every window, open ones too. `prefix` as in its config.
pub fn ohlcv(records: &[Placed], window_ms: i64, prefix: &str) -> Table {
    table(records, window_ms, |ticks| ohlcv_row(ticks, prefix))
}

/// The four outputs of the `vwap` aggregate, weighted by volume.
pub fn vwap(records: &[Placed], window_ms: i64, prefix: &str) -> Table {
    table(records, window_ms, |ticks| vwap_row(ticks, prefix))
}

/// The least of the partitions' greatest event times, less the delay; None before the first row. A
/// partition without rows does not count.
pub fn watermark_ms(records: &[Placed], delay_ms: i64) -> Option<i64> {
    let mut greatest: BTreeMap<i32, i64> = BTreeMap::new();
    for record in records {
        if let Some(tick) = &record.tick {
            let time = greatest.entry(record.partition).or_insert(i64::MIN);
            *time = tick.event_time_ms.max(*time);
        }
    }
    greatest.into_values().min().map(|time| time - delay_ms)
}

/// The windows that end at the watermark or before.
pub fn closed(table: Table, window_ms: i64, watermark_ms: Option<i64>) -> Table {
    let Some(watermark_ms) = watermark_ms else { return Table::new() };
    table.into_iter().filter(|((_, start_ms), _)| start_ms + window_ms <= watermark_ms).collect()
}

/// `row` is given each group's ticks in the order of (event time, partition, offset).
fn table(records: &[Placed], window_ms: i64, row: impl Fn(&[&Tick]) -> Row) -> Table {
    let mut sorted: Vec<(&Tick, i32, i64)> = records
        .iter()
        .filter_map(|record| Some((record.tick.as_ref()?, record.partition, record.offset)))
        .collect();
    sorted.sort_by_key(|(tick, partition, offset)| (tick.event_time_ms, *partition, *offset));
    let mut groups: BTreeMap<Group, Vec<&Tick>> = BTreeMap::new();
    for (tick, _, _) in sorted {
        let start_ms = tick.event_time_ms.div_euclid(window_ms) * window_ms;
        groups.entry((Some(tick.symbol.clone()), start_ms)).or_default().push(tick);
    }
    let with_end = |((key, start_ms), ticks): (Group, Vec<&Tick>)| {
        let mut row = row(&ticks);
        row.insert("window_end".into(), Value::Int(start_ms + window_ms));
        ((key, start_ms), row)
    };
    groups.into_iter().map(with_end).collect()
}

fn ohlcv_row(ticks: &[&Tick], prefix: &str) -> Row {
    let named = |name: &str| format!("{prefix}_{name}");
    let prices: Vec<f64> = ticks.iter().filter_map(|tick| tick.price).collect();
    let mean = sum(prices.iter().copied()).map(|total| total / prices.len() as f64);
    Row::from([
        (named("open"), Value::exact(ticks.iter().find_map(|tick| tick.open))),
        (named("high"), Value::exact(ticks.iter().filter_map(|tick| tick.high).reduce(f64::max))),
        (named("low"), Value::exact(ticks.iter().filter_map(|tick| tick.low).reduce(f64::min))),
        (named("close"), Value::exact(ticks.iter().rev().find_map(|tick| tick.price))),
        (named("volume"), Value::sum(sum(ticks.iter().filter_map(|tick| tick.volume)))),
        (named("quote_volume"), Value::sum(sum(ticks.iter().filter_map(|tick| tick.quote_volume)))),
        ("total_trades".into(), Value::int(whole_sum(ticks.iter().filter_map(|tick| tick.number_trades)))),
        ("tick_count".into(), Value::Int(ticks.len() as i64)),
        ("avg_price".into(), Value::sum(mean)),
    ])
}

/// Two passes: the mean first, then the squares of what is left. Both are taken from the first price, so
/// that equal prices have no deviation at all.
fn vwap_row(ticks: &[&Tick], prefix: &str) -> Row {
    let weighed: Vec<(f64, f64)> = ticks
        .iter()
        .filter_map(|tick| Some((tick.price?, tick.volume.filter(|weight| *weight > 0.0)?)))
        .collect();
    let weight = sum(weighed.iter().map(|(_, weight)| *weight));
    let origin = weighed.first().map_or(0.0, |(price, _)| *price);
    let weighted = |of: &dyn Fn(f64) -> f64| {
        let total = sum(weighed.iter().map(|(price, weight)| of(price - origin) * weight));
        total.zip(weight).map(|(total, weight)| total / weight)
    };
    let mean = weighted(&|above| above);
    let variance = mean.and_then(|mean| weighted(&|above| (above - mean) * (above - mean)));
    Row::from([
        (format!("{prefix}_vwap"), Value::sum(mean.map(|mean| origin + mean))),
        (format!("{prefix}_price_stddev"), Value::sum(variance.map(f64::sqrt))),
        (format!("{prefix}_weight"), Value::sum(weight)),
        ("tick_count".into(), Value::Int(ticks.len() as i64)),
    ])
}

/// Neumaier's sum, so that the reference is nearer to the truth than what it judges; None for no values.
fn sum(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut result = None;
    let mut lost = 0.0;
    for value in values {
        let total = result.unwrap_or(0.0);
        let next = total + value;
        lost +=
            if f64::abs(total) >= f64::abs(value) { (total - next) + value } else { (value - next) + total };
        result = Some(next);
    }
    result.map(|total| total + lost)
}

/// None for no values, and for a sum that does not fit.
fn whole_sum(values: impl Iterator<Item = i64>) -> Option<i64> {
    values.map(i128::from).reduce(|one, other| one + other).and_then(|total| i64::try_from(total).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::differences;

    const HOUR_MS: i64 = 3_600_000;

    fn placed(partition: i32, offset: i64, event_time_ms: i64, price: f64) -> Placed {
        let tick = Tick {
            symbol: "A".into(),
            event_time_ms,
            price: Some(price),
            open: Some(price + 1.0),
            high: Some(price + 2.0),
            low: None,
            volume: Some(2.0),
            quote_volume: None,
            number_trades: Some(5),
        };
        Placed { partition, offset, tick: Some(tick), value: Vec::new() }
    }

    fn expected(open: f64, high: f64, close: f64, count: i64, mean: f64) -> Row {
        Row::from([
            ("d_open".into(), Value::Exact(open)),
            ("d_high".into(), Value::Exact(high)),
            ("d_low".into(), Value::Null),
            ("d_close".into(), Value::Exact(close)),
            ("d_volume".into(), Value::Sum(2.0 * count as f64)),
            ("d_quote_volume".into(), Value::Null),
            ("total_trades".into(), Value::Int(5 * count)),
            ("tick_count".into(), Value::Int(count)),
            ("avg_price".into(), Value::Sum(mean)),
            ("window_end".into(), Value::Int(HOUR_MS)),
        ])
    }

    #[test]
    fn first_and_last_go_by_event_time_then_partition_then_offset() {
        let records =
            [placed(1, 0, 10, 3.0), placed(0, 1, 10, 2.0), placed(0, 0, 10, 1.0), placed(1, 1, 5, 9.0)];
        let found = ohlcv(&records, HOUR_MS, "d");
        let wanted = Table::from([((Some("A".into()), 0), expected(10.0, 11.0, 3.0, 4, 3.75))]);
        assert_eq!(differences(&wanted, &found), Vec::<String>::new());
    }

    #[test]
    fn times_before_1970_fall_into_the_window_below() {
        let found = ohlcv(&[placed(0, 0, -1, 1.0)], HOUR_MS, "d");
        assert_eq!(found.keys().next(), Some(&(Some("A".into()), -HOUR_MS)));
    }

    #[test]
    fn only_windows_behind_the_slowest_partition_are_closed() {
        let records = [placed(0, 0, 10, 1.0), placed(0, 1, 5 * HOUR_MS, 1.0), placed(1, 0, 2 * HOUR_MS, 1.0)];
        let watermark = watermark_ms(&records, HOUR_MS);
        assert_eq!(watermark, Some(HOUR_MS));
        assert_eq!(closed(ohlcv(&records, HOUR_MS, "d"), HOUR_MS, watermark).len(), 1);
    }

    #[test]
    fn the_weighted_mean_and_deviation_are_those_of_the_book() {
        let records = [placed(0, 0, 0, 1.0), placed(0, 1, 1, 3.0)];
        let row = vwap(&records, HOUR_MS, "d").into_values().next().expect("one window");
        let values = [row["d_vwap"], row["d_price_stddev"], row["d_weight"]];
        assert!(matches!(values, [Value::Sum(2.0), Value::Sum(1.0), Value::Sum(4.0)]), "{values:?}");
    }
}
