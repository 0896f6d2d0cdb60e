//! What is produced, and what must come of it: the ids of each key's windows, the records that cannot be
//! parsed, and those that come so much later than their time that they may be late.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use speed_layer_tests::reference::watermark_ms;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

pub const PARTITIONS: i32 = 3;
pub const WINDOW_MS: i64 = 6 * HOUR_MS;
/// So long that most of what is open does not change from one commit to the next.
pub const WATERMARK_MS: i64 = 5 * 24 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;
const DISPLACED_BY_MS: i64 = 8 * 24 * HOUR_MS;
const DISPLACED_PER_MILLE: u32 = 5;
const BAD_PER_MILLION: u32 = 3_000;

/// Partition and offset.
pub type Id = (i32, i64);
/// A key and the start of a window, ms since 1970 UTC.
pub type Group = (String, i64);

/// Ticks of four symbols over thirty days, out of order by up to half an hour; of those of the second half
/// some are a week too old.
pub fn records(rows: usize, seed: u64) -> Vec<Placed> {
    let (jitter_ms, bad_per_million) = (HOUR_MS / 2, BAD_PER_MILLION);
    let plan = Plan { rows, symbols: 4, jitter_ms, bad_per_million, seed, ..Plan::default() };
    let mut records = plan.records(PARTITIONS, Spread::InTurn);
    let mut rng = Rng::with_seed(seed);
    for record in records.iter_mut().skip(rows / 2) {
        if rng.u32(..1_000) < DISPLACED_PER_MILLE {
            displace(record);
        }
    }
    records
}

fn displace(record: &mut Placed) {
    if let Some(tick) = &mut record.tick {
        tick.event_time_ms -= DISPLACED_BY_MS;
        record.value = tick.to_json().into_bytes();
    }
}

/// What records must come to.
#[derive(Debug, Default)]
pub struct Truth {
    pub records: u64,
    /// Of the windows that are closed at the end.
    pub closed: BTreeMap<Group, BTreeSet<Id>>,
    pub bad: BTreeSet<Id>,
    /// Those that a commit may have overtaken, which is a matter of when it came.
    pub may_be_late: BTreeSet<Id>,
}

impl Truth {
    pub fn of(records: &[Placed]) -> Self {
        let mut truth = Self { records: records.len() as u64, ..Self::default() };
        let closed_through_ms = watermark_ms(records, WATERMARK_MS).unwrap_or(i64::MIN);
        let mut greatest_ms = i64::MIN;
        for record in records {
            let id = (record.partition, record.offset);
            let Some(tick) = &record.tick else {
                truth.bad.insert(id);
                continue;
            };
            greatest_ms = greatest_ms.max(tick.event_time_ms);
            if greatest_ms - tick.event_time_ms > DISPLACED_BY_MS / 2 {
                truth.may_be_late.insert(id);
            }
            let start_ms = tick.event_time_ms.div_euclid(WINDOW_MS) * WINDOW_MS;
            if start_ms + WINDOW_MS <= closed_through_ms {
                truth.closed.entry((tick.symbol.clone(), start_ms)).or_default().insert(id);
            }
        }
        truth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_records_are_bad_and_some_may_be_late_and_the_windows_before_the_last_days_are_closed() {
        let records = records(20_000, 1);
        let truth = Truth::of(&records);
        assert!((20..200).contains(&truth.bad.len()), "{}", truth.bad.len());
        assert!((20..200).contains(&truth.may_be_late.len()), "{}", truth.may_be_late.len());
        assert!((380..=410).contains(&truth.closed.len()), "{}", truth.closed.len());
        let closed: usize = truth.closed.values().map(BTreeSet::len).sum();
        assert!(closed > 16_000 && closed < 17_500, "{closed}");
    }
}
