//! For how long the workers stand at a cut, and what of it every trigger costs.

use std::ops::Add;
use std::time::{Duration, Instant};

/// A time in which no worker took a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pause {
    /// From the call to hand over until the workers went on.
    whole: Duration,
    /// Of it until the last one had ended its batch and handed over.
    hand_over: Duration,
}

impl Pause {
    pub fn whole(&self) -> Duration {
        self.whole
    }

    pub fn whole_ms(&self) -> f64 {
        self.whole.as_secs_f64() * 1000.0
    }

    pub fn hand_over_ms(&self) -> f64 {
        self.hand_over.as_secs_f64() * 1000.0
    }

    /// What was not waiting for a hand-over.
    pub fn beyond_us(&self) -> u64 {
        self.whole.saturating_sub(self.hand_over).as_micros() as u64
    }
}

impl Add for Pause {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { whole: self.whole + other.whole, hand_over: self.hand_over + other.hand_over }
    }
}

/// Takes the time of one cut after the other.
#[derive(Debug)]
pub struct Watch {
    cut: Instant,
    hand_over: Duration,
    last: Pause,
}

impl Watch {
    pub fn new() -> Self {
        Self { cut: Instant::now(), hand_over: Duration::ZERO, last: Pause::default() }
    }

    /// The workers are asked to hand over.
    pub fn cut(&mut self) {
        self.cut = Instant::now();
    }

    /// All of them have.
    pub fn handed_over(&mut self) {
        self.hand_over = self.cut.elapsed();
    }

    /// They go on.
    pub fn resumed(&mut self) {
        self.last = Pause { whole: self.cut.elapsed(), hand_over: self.hand_over };
    }

    /// The last cut's.
    pub fn last(&self) -> Pause {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_the_hand_over_and_what_is_beyond() {
        let (one, two) = (Duration::from_millis(5), Duration::from_millis(3));
        let pause = Pause { whole: one, hand_over: two } + Pause { whole: one, hand_over: one };
        assert_eq!((pause.whole_ms(), pause.hand_over_ms(), pause.beyond_us()), (10.0, 8.0, 2_000));
        let mut watch = Watch::new();
        watch.cut();
        watch.handed_over();
        watch.resumed();
        assert!(watch.last().whole >= watch.last().hand_over);
    }
}
