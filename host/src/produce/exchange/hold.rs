//! How long an exchange wants to be left alone. Its limits are those of an address, so one
//! refusal holds back every symbol.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::skip::Reason;

/// The longest ban that the exchange knows; a longer wait is taken for a mistake.
const WAIT_MAX: Duration = Duration::from_secs(3 * 86_400);
/// Limits are counted by the minute.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);
/// The shortest ban.
const BAN_WAIT: Duration = Duration::from_secs(120);

const RATE_LIMITED: u16 = 429;
const BANNED: u16 = 418;

/// What a status that is no success is counted as.
pub fn reason_of(status: u16) -> Reason {
    match status {
        RATE_LIMITED => Reason::RateLimited,
        BANNED => Reason::Banned,
        _ => Reason::HttpStatus,
    }
}

/// How long an answer that is no success asks to wait, by its `Retry-After` (seconds or a
/// date) or else by its status.
pub fn wait_asked(status: u16, retry_after: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let by_status = match status {
        RATE_LIMITED => Some(RATE_LIMIT_WAIT),
        BANNED => Some(BAN_WAIT),
        _ => None,
    };
    let told = retry_after.and_then(|text| in_seconds(text).or_else(|| until_date(text, now)));
    told.or(by_status).map(|wait| wait.min(WAIT_MAX))
}

fn in_seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

fn until_date(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

/// Until when nothing is asked; shared by all symbols.
#[derive(Debug, Default)]
pub struct Hold {
    until: Mutex<Option<Instant>>,
}

impl Hold {
    /// A shorter wait never ends a longer one.
    pub fn extend(&self, until: Instant) {
        let mut held = self.until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *held = Some(held.map_or(until, |held| held.max(until)));
    }

    pub fn holds_at(&self, now: Instant) -> bool {
        let held = self.until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        held.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_asks_for_is_respected_within_reason() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        for (status, retry_after, expected_s) in [
            (500, None, None),
            (429, None, Some(60)),
            (418, None, Some(120)),
            (429, Some("7"), Some(7)),
            (429, Some("0"), Some(0)),
            (418, Some("86400"), Some(86_400)),
            (503, Some("30"), Some(30)),
            (418, Some("99999999999999999999999"), Some(3 * 86_400)),
            (429, Some("Thu, 01 Jan 2026 00:00:09 GMT"), Some(9)),
            (429, Some("Wed, 31 Dec 2025 00:00:00 GMT"), Some(0)),
            (429, Some("soon"), Some(60)),
            (429, Some("-5"), Some(60)),
            (429, Some(""), Some(60)),
            (500, Some("soon"), None),
        ] {
            let wait = wait_asked(status, retry_after, now);
            assert_eq!(wait, expected_s.map(Duration::from_secs), "{status} {retry_after:?}");
        }
    }

    #[test]
    fn a_shorter_wait_does_not_end_a_longer_one() {
        let (hold, now) = (Hold::default(), Instant::now());
        assert!(!hold.holds_at(now));
        hold.extend(now + Duration::from_secs(9));
        hold.extend(now + Duration::from_secs(3));
        assert!(hold.holds_at(now + Duration::from_secs(8)));
        assert!(!hold.holds_at(now + Duration::from_secs(9)));
    }
}
