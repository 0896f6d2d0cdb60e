//! Keeps to a rate without drifting: message n is due at start + n / rate.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Pace {
    begun: Instant,
    per_second: Option<f64>,
}

impl Pace {
    /// `None`: as fast as the broker takes them.
    pub fn new(per_second: Option<f64>) -> Self {
        Self { begun: Instant::now(), per_second }
    }

    /// How long to wait before message `number` (from 0) is due.
    pub fn wait_before(&self, number: u64) -> Duration {
        match self.per_second {
            Some(rate) => Duration::from_secs_f64(number as f64 / rate).saturating_sub(self.begun.elapsed()),
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_due_by_its_number_not_by_the_one_before_it() {
        let pace = Pace::new(Some(10.0));
        let wait = pace.wait_before(100);
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
        assert_eq!(pace.wait_before(0), Duration::ZERO);
        assert_eq!(Pace::new(None).wait_before(1_000_000), Duration::ZERO);
    }
}
