//! Lengths of time as people write them, and tumbling windows over event time.
//! Knows no clock and no time zone: instants are numbers since 1970 UTC.

use std::fmt;
use std::str::FromStr;

/// The longest duration and window that is taken: 100 years of 365 days.
pub const DURATION_MS_MAX: u64 = 36_500 * MS_PER_DAY;

/// The first and last instant that an event time may have (years 0001 to 9999).
/// Between them no sum of this module can overflow.
pub const EVENT_TIME_MS_MIN: i64 = -62_135_596_800_000;
/// See [`EVENT_TIME_MS_MIN`].
pub const EVENT_TIME_MS_MAX: i64 = 253_402_300_799_999;

const MS_PER_DAY: u64 = 86_400_000;

/// The units of a duration, longest first.
const UNITS: [(&str, u64); 5] = [("d", MS_PER_DAY), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length of time in whole milliseconds, at most [`DURATION_MS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    ms: u64,
}

/// Why a length of time was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("{text:?} is not a duration: write an integer and one of ms, s, m, h, d, such as 30s or 1d")]
    NotADuration { text: String },
    #[error("a duration of {text} is beyond the limit of 36500d: give a shorter one")]
    TooLong { text: String },
    #[error("a window of {size} is not a positive length: give one such as 1h or 1d")]
    EmptyWindow { size: Duration },
}

impl Duration {
    /// `ms` milliseconds.
    ///
    /// # Errors
    /// [`TimeError::TooLong`] beyond [`DURATION_MS_MAX`].
    pub fn from_ms(ms: u64) -> Result<Self, TimeError> {
        if ms > DURATION_MS_MAX {
            return Err(TimeError::TooLong { text: format!("{ms}ms") });
        }
        Ok(Self { ms })
    }

    /// Milliseconds; fits an `i64` as well.
    pub fn as_ms(self) -> u64 {
        self.ms
    }

    /// Milliseconds, signed, for sums with instants.
    pub fn as_ms_i64(self) -> i64 {
        self.ms as i64
    }
}

impl FromStr for Duration {
    type Err = TimeError;

    /// Reads an integer and `ms`, `s`, `m`, `h` or `d`, with nothing between or around them.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let not_a_duration = || TimeError::NotADuration { text: text.to_owned() };
        let too_long = || TimeError::TooLong { text: text.to_owned() };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, unit_ms) =
            UNITS.iter().find(|(name, _)| *name == unit && digits > 0).ok_or_else(not_a_duration)?;
        let count: u64 = number.parse().map_err(|_| too_long())?;
        let ms = count.checked_mul(*unit_ms).filter(|ms| *ms <= DURATION_MS_MAX).ok_or_else(too_long)?;
        Ok(Self { ms })
    }
}

impl fmt::Display for Duration {
    /// The longest unit that leaves no rest: `90m`, `1d`, `0ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, unit_ms): &&(&str, u64)| self.ms > 0 && self.ms.is_multiple_of(*unit_ms);
        let (name, unit_ms) = UNITS.iter().find(whole).unwrap_or(&("ms", 1));
        write!(f, "{}{name}", self.ms / unit_ms)
    }
}

/// Tumbling windows: multiples of one length since 1970 UTC, start inside, end not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpec {
    size_us: i64,
}

impl WindowSpec {
    /// Windows of `size` each.
    ///
    /// # Errors
    /// [`TimeError::EmptyWindow`] for a length of zero.
    pub fn new(size: Duration) -> Result<Self, TimeError> {
        if size.as_ms() == 0 {
            return Err(TimeError::EmptyWindow { size });
        }
        Ok(Self { size_us: size.as_ms_i64() * 1_000 })
    }

    /// The length in microseconds, more than zero.
    pub fn size_us(self) -> i64 {
        self.size_us
    }

    /// The length as people write it.
    pub fn size(self) -> Duration {
        Duration { ms: (self.size_us / 1_000) as u64 }
    }

    /// The start of the window that holds `event_us`: rounds down, before 1970 as well.
    pub fn start_of(self, event_us: i64) -> i64 {
        event_us.saturating_sub(event_us.rem_euclid(self.size_us))
    }

    /// The end (not inside) of the window that starts at `start_us`.
    pub fn end_of(self, start_us: i64) -> i64 {
        start_us.saturating_add(self.size_us)
    }

    /// Whether a window of this length can start at `start_us`.
    pub fn is_start(self, start_us: i64) -> bool {
        start_us.rem_euclid(self.size_us) == 0
    }

    /// The start of each row's window, in the order of the rows.
    pub fn starts_of(self, event_us: &[i64], starts_us: &mut Vec<i64>) {
        starts_us.clear();
        starts_us.reserve(event_us.len());
        let mut start_us = 0;
        for &event in event_us {
            if event < start_us || event.wrapping_sub(start_us) as u64 >= self.size_us as u64 {
                start_us = self.start_of(event);
            }
            starts_us.push(start_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        let check = |text: &str, ms: u64, shown: &str| {
            let duration: Duration = text.parse().unwrap();
            assert_eq!((duration.as_ms(), duration.to_string().as_str()), (ms, shown), "{text}");
            assert_eq!(shown.parse::<Duration>().unwrap(), duration);
        };
        check("250ms", 250, "250ms");
        check("10s", 10_000, "10s");
        check("90m", 5_400_000, "90m");
        check("60m", 3_600_000, "1h");
        check("1d", 86_400_000, "1d");
        check("0s", 0, "0ms");
        check("007s", 7_000, "7s");
        check("36500d", DURATION_MS_MAX, "36500d");
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "s", "10", "-1s", "+1s", "1.5h", "1 d", " 1d", "1d ", "1w", "1D", "1s1s", "١s"] {
            let refused = text.parse::<Duration>();
            assert!(matches!(refused, Err(TimeError::NotADuration { .. })), "{text}: {refused:?}");
        }
        for text in ["36501d", "18446744073709551615d", "99999999999999999999ms"] {
            let refused = text.parse::<Duration>();
            assert!(matches!(refused, Err(TimeError::TooLong { .. })), "{text}: {refused:?}");
        }
        assert!(Duration::from_ms(DURATION_MS_MAX + 1).is_err());
    }

    #[test]
    fn a_window_has_a_positive_length() {
        let refused = WindowSpec::new("0h".parse().unwrap()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a window of 0ms is not a positive length: give one such as 1h or 1d"
        );
    }

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        let hour = WindowSpec::new("1h".parse().unwrap()).unwrap();
        let size = hour.size_us();
        let check = |event_us: i64, start_us: i64| {
            assert_eq!(hour.start_of(event_us), start_us, "{event_us}");
            assert!(hour.is_start(start_us));
        };
        check(0, 0);
        check(size - 1, 0);
        check(size, size);
        check(-1, -size);
        check(-size, -size);
        check(-size - 1, -2 * size);
        assert_eq!(hour.end_of(-size), 0);
        assert_eq!(hour.size().to_string(), "1h");
    }

    #[test]
    fn extreme_times_neither_panic_nor_wrap() {
        let day = WindowSpec::new("1d".parse().unwrap()).unwrap();
        assert_eq!(day.start_of(i64::MIN), i64::MIN);
        assert!(day.start_of(i64::MAX) > 0);
        assert_eq!(day.end_of(i64::MAX), i64::MAX);
    }

    #[test]
    fn whole_batches_get_the_same_windows_as_single_rows() {
        let day = WindowSpec::new("1d".parse().unwrap()).unwrap();
        let events =
            [5, -5, 86_400_000_000, 86_399_999_999, i64::MIN, i64::MAX, i64::MIN, 0, -86_400_000_001];
        let mut starts = vec![1, 2, 3];
        day.starts_of(&events, &mut starts);
        assert_eq!(starts, events.map(|event| day.start_of(event)));
    }
}
