//! How long to wait before the next try to connect: doubled after each failure up to a
//! limit, and half of it by chance, so that many clients do not come back at once.

use std::time::Duration;

/// Half of it is the shortest wait: the exchange takes one connection a second.
const FIRST: Duration = Duration::from_secs(2);
const LAST: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait; `chance` lies between 0 and 1.
    pub fn next(&mut self, chance: f64) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }

    /// Something came, so the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.next(1.0).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next(0.0), LAST / 2);
        backoff.reset();
        assert_eq!(backoff.next(0.5), Duration::from_millis(1_500));
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next(1.0), LAST);
    }
}
