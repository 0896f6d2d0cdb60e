//! Times counted by their length; one thread adds to them.

use std::time::Duration;

/// Upper bounds of the buckets, seconds; one more bucket has the rest.
pub const BOUNDS_S: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DurationHistogram {
    pub buckets: [u64; BOUNDS_S.len() + 1],
    pub sum: Duration,
}

impl DurationHistogram {
    pub fn note(&mut self, took: Duration) {
        let bucket = BOUNDS_S.partition_point(|bound| *bound < took.as_secs_f64());
        self.buckets[bucket] += 1;
        self.sum += took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_it_is_not_longer_than() {
        let mut histogram = DurationHistogram::default();
        for ms in [0, 1, 2, 60_000] {
            histogram.note(Duration::from_millis(ms));
        }
        assert_eq!(histogram.buckets[..2], [2, 1]);
        assert_eq!(histogram.buckets[BOUNDS_S.len()], 1);
        assert_eq!(histogram.sum, Duration::from_millis(60_003));
    }
}
