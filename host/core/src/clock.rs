//! The clock check: which rows have an event time that can be believed. It is made
//! on the time as the row has it, before any conversion of units, and decides only
//! by its arguments, so that a recomputation refuses the same rows. It keeps no
//! watermark and moves nothing.

use arrow_buffer::NullBuffer;

use crate::time::{Duration, EVENT_TIME_MS_MAX, EVENT_TIME_MS_MIN};

/// 2000-01-01T00:00:00Z.
pub const MIN_EVENT_TIME_MS_DEFAULT: i64 = 946_684_800_000;
/// Five minutes.
pub const MAX_FUTURE_SKEW_MS_DEFAULT: i64 = 300_000;

/// What an event time has to keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockBounds {
    min_event_time_ms: i64,
    max_future_skew_ms: i64,
}

/// The event times of a batch, one a row, since 1970 UTC.
#[derive(Debug, Clone, Copy)]
pub enum EventTimes<'a> {
    Millis(&'a [i64]),
    Micros(&'a [i64]),
}

/// What "too far ahead" is measured from.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// Wall clock at which the epoch began, as its commit stores it.
    pub epoch_began_ms: i64,
    /// The record timestamp of each row, on a topic with LogAppendTime only. One
    /// below zero means that there is none: that row is held to `epoch_began_ms`.
    pub log_append_ms: Option<&'a [i64]>,
}

/// A row that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReject {
    pub row: u32,
    pub reason: ClockReason,
}

/// Why a row's clock is not believed. `event_time` is in the unit of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockReason {
    Missing,
    TooEarly { event_time: i64, unit: Unit, min_ms: i64 },
    TooFarAhead { event_time: i64, unit: Unit, max_ms: i64 },
}

/// The unit of an event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Millis,
    Micros,
}

/// Inclusive, in the unit of the column.
#[derive(Clone, Copy)]
struct Range {
    min: i64,
    max: i64,
}

impl Default for ClockBounds {
    fn default() -> Self {
        Self { min_event_time_ms: MIN_EVENT_TIME_MS_DEFAULT, max_future_skew_ms: MAX_FUTURE_SKEW_MS_DEFAULT }
    }
}

impl ClockBounds {
    /// Nothing before `min_event_time_ms`, nothing further ahead than `max_future_skew`.
    /// Whatever is given, nothing outside the years 0001 to 9999 is accepted.
    pub fn new(min_event_time_ms: i64, max_future_skew: Duration) -> Self {
        let min_event_time_ms = min_event_time_ms.clamp(EVENT_TIME_MS_MIN, EVENT_TIME_MS_MAX);
        Self { min_event_time_ms, max_future_skew_ms: max_future_skew.as_ms_i64() }
    }

    /// The refused rows of a batch, in rising order; none when all is well.
    ///
    /// `nulls` is the validity of the column. A null is refused as well.
    pub fn check(
        &self,
        times: EventTimes<'_>,
        nulls: Option<&NullBuffer>,
        reference: Reference<'_>,
    ) -> Vec<ClockReject> {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        let (times, unit) = times.parts();
        match reference.log_append_ms {
            None => {
                let range = self.range(reference.epoch_began_ms, unit);
                rejects(times, unit, nulls, |_| range)
            }
            Some(log_append_ms) => rejects(times, unit, nulls, |row| {
                let appended_ms = Some(log_append_ms[row]).filter(|ms| *ms >= 0);
                self.range(appended_ms.unwrap_or(reference.epoch_began_ms), unit)
            }),
        }
    }

    fn range(&self, reference_ms: i64, unit: Unit) -> Range {
        let max_ms =
            reference_ms.saturating_add(self.max_future_skew_ms).clamp(EVENT_TIME_MS_MIN, EVENT_TIME_MS_MAX);
        match unit {
            Unit::Millis => Range { min: self.min_event_time_ms, max: max_ms },
            // The last microsecond of the last millisecond still counts.
            Unit::Micros => Range { min: self.min_event_time_ms * 1_000, max: max_ms * 1_000 + 999 },
        }
    }
}

impl<'a> EventTimes<'a> {
    fn parts(self) -> (&'a [i64], Unit) {
        match self {
            EventTimes::Millis(times) => (times, Unit::Millis),
            EventTimes::Micros(times) => (times, Unit::Micros),
        }
    }
}

/// Looks for any offence first, without branches; almost every batch has none.
fn rejects(
    times: &[i64],
    unit: Unit,
    nulls: Option<&NullBuffer>,
    range_of: impl Fn(usize) -> Range,
) -> Vec<ClockReject> {
    let outside = |(row, time): (usize, &i64)| {
        let range = range_of(row);
        (*time < range.min) | (*time > range.max)
    };
    let offended = times.iter().enumerate().fold(false, |any, row| any | outside(row));
    if !offended && nulls.is_none() {
        return Vec::new();
    }
    let reject = |row: usize| {
        let reason = match nulls {
            Some(nulls) if nulls.is_null(row) => Some(ClockReason::Missing),
            _ => range_of(row).offence(times[row], unit),
        };
        reason.map(|reason| ClockReject { row: row as u32, reason })
    };
    (0..times.len()).filter_map(reject).collect()
}

impl Range {
    fn offence(self, event_time: i64, unit: Unit) -> Option<ClockReason> {
        let per_ms = unit.per_ms();
        if event_time < self.min {
            return Some(ClockReason::TooEarly { event_time, unit, min_ms: self.min.div_euclid(per_ms) });
        }
        let max_ms = self.max.div_euclid(per_ms);
        (event_time > self.max).then_some(ClockReason::TooFarAhead { event_time, unit, max_ms })
    }
}

impl Unit {
    fn per_ms(self) -> i64 {
        match self {
            Unit::Millis => 1,
            Unit::Micros => 1_000,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Millis => "ms",
            Unit::Micros => "us",
        }
    }
}

impl ClockReason {
    /// What the dead letters count by.
    pub fn kind(&self) -> &'static str {
        match self {
            ClockReason::Missing => "missing-event-time",
            ClockReason::TooEarly { .. } => "before-min-event-time",
            ClockReason::TooFarAhead { .. } => "beyond-max-future-skew",
        }
    }

    /// What is wrong with the row, for the dead letters.
    pub fn message(&self) -> String {
        match self {
            ClockReason::Missing => "the event time is null".to_owned(),
            ClockReason::TooEarly { event_time, unit, min_ms } => format!(
                "event time {event_time} {} is before the least accepted one, {min_ms} ms{}",
                unit.name(),
                self.hint()
            ),
            ClockReason::TooFarAhead { event_time, unit, max_ms } => format!(
                "event time {event_time} {} is beyond the greatest accepted one, {max_ms} ms{}",
                unit.name(),
                self.hint()
            ),
        }
    }

    /// A guess at a wrong unit, where the number is a sensible time in another one.
    fn hint(&self) -> &'static str {
        match *self {
            ClockReason::TooEarly { event_time, unit: Unit::Millis, min_ms }
                if event_time > 0 && event_time.saturating_mul(1_000) >= min_ms =>
            {
                "; are these seconds?"
            }
            ClockReason::TooFarAhead { event_time, unit: Unit::Millis, max_ms }
                if event_time / 1_000 <= max_ms =>
            {
                "; are these microseconds?"
            }
            _ => "",
        }
    }
}

/// Microseconds of event times that passed the check; others saturate.
pub fn to_micros(times: EventTimes<'_>) -> Vec<i64> {
    match times {
        EventTimes::Millis(times) => times.iter().map(|ms| ms.saturating_mul(1_000)).collect(),
        EventTimes::Micros(times) => times.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;
    const EARLY: &str = "before-min-event-time";
    const AHEAD: &str = "beyond-max-future-skew";

    fn kinds(rejects: &[ClockReject]) -> Vec<(u32, &'static str)> {
        rejects.iter().map(|reject| (reject.row, reject.reason.kind())).collect()
    }

    fn check(times: EventTimes<'_>, log_append_ms: Option<&[i64]>, expected: &[(u32, &'static str)]) {
        let reference = Reference { epoch_began_ms: NOW_MS, log_append_ms };
        let rejects = ClockBounds::default().check(times, None, reference);
        assert_eq!(kinds(&rejects), expected, "{times:?}");
    }

    #[test]
    fn both_bounds_are_themselves_accepted() {
        let max = NOW_MS + MAX_FUTURE_SKEW_MS_DEFAULT;
        let min = MIN_EVENT_TIME_MS_DEFAULT;
        check(EventTimes::Millis(&[min, max, NOW_MS]), None, &[]);
        check(EventTimes::Millis(&[min - 1, min, max, max + 1]), None, &[(0, EARLY), (3, AHEAD)]);
        let micros = [min * 1_000 - 1, min * 1_000, max * 1_000 + 999, max * 1_000 + 1_000];
        check(EventTimes::Micros(&micros), None, &[(0, EARLY), (3, AHEAD)]);
        check(EventTimes::Millis(&[]), None, &[]);
    }

    #[test]
    fn log_append_time_takes_the_place_of_the_wall_clock() {
        let times = [NOW_MS, NOW_MS, NOW_MS + 1];
        let appended = [NOW_MS - 300_000, NOW_MS - 300_001, -1];
        check(EventTimes::Millis(&times), Some(&appended), &[(1, AHEAD)]);
    }

    #[test]
    fn extreme_times_are_refused_and_do_not_overflow() {
        let extremes = [i64::MIN, i64::MAX];
        check(EventTimes::Millis(&extremes), None, &[(0, EARLY), (1, AHEAD)]);
        check(EventTimes::Micros(&extremes), Some(&extremes), &[(0, EARLY), (1, AHEAD)]);
        let lax = ClockBounds::new(i64::MIN, "36500d".parse().unwrap());
        let reference = Reference { epoch_began_ms: i64::MAX, log_append_ms: None };
        let years = [EVENT_TIME_MS_MIN - 1, EVENT_TIME_MS_MIN, EVENT_TIME_MS_MAX, EVENT_TIME_MS_MAX + 1];
        let rejects = lax.check(EventTimes::Millis(&years), None, reference);
        assert_eq!(kinds(&rejects), [(0, EARLY), (3, AHEAD)]);
        assert_eq!(to_micros(EventTimes::Millis(&extremes)), extremes);
    }

    #[test]
    fn a_null_is_refused_whatever_its_place_holds() {
        let nulls = NullBuffer::from(vec![true, false, false]);
        let reference = Reference { epoch_began_ms: NOW_MS, log_append_ms: None };
        let times = EventTimes::Millis(&[NOW_MS, NOW_MS, 0]);
        let rejects = ClockBounds::default().check(times, Some(&nulls), reference);
        assert_eq!(kinds(&rejects), [(1, "missing-event-time"), (2, "missing-event-time")]);
    }

    #[test]
    fn a_wrong_unit_is_guessed() {
        let reference = Reference { epoch_began_ms: NOW_MS, log_append_ms: None };
        let times = EventTimes::Millis(&[NOW_MS / 1_000, NOW_MS * 1_000, -5]);
        let rejects = ClockBounds::default().check(times, None, reference);
        let messages: Vec<String> = rejects.iter().map(|reject| reject.reason.message()).collect();
        assert_eq!(
            messages[0],
            "event time 1700000000 ms is before the least accepted one, 946684800000 ms; are these seconds?"
        );
        assert!(messages[1].ends_with("1700000300000 ms; are these microseconds?"), "{}", messages[1]);
        assert!(messages[2].ends_with("946684800000 ms"), "{}", messages[2]);
    }
}
