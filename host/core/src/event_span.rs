//! The event times of a stretch of rows, in short: least, mean and greatest. It tells how a commit went and
//! decides nothing.

/// Event times of accepted rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventSpan {
    rows: u64,
    least_us: i64,
    greatest_us: i64,
    /// Thousands of millions of times near now do not fit into 64 bits.
    sum_us: i128,
}

impl EventSpan {
    /// Takes rows in, by their event times in microseconds since 1970 UTC.
    pub fn note(&mut self, event_us: &[i64]) {
        let (Some(least_us), Some(greatest_us)) = (event_us.iter().min(), event_us.iter().max()) else {
            return;
        };
        self.add(&Self {
            rows: event_us.len() as u64,
            least_us: *least_us,
            greatest_us: *greatest_us,
            sum_us: event_us.iter().map(|us| i128::from(*us)).sum(),
        });
    }

    /// Takes another stretch in.
    pub fn add(&mut self, other: &Self) {
        if other.rows == 0 {
            return;
        }
        if self.rows == 0 {
            *self = *other;
            return;
        }
        self.rows += other.rows;
        self.least_us = self.least_us.min(other.least_us);
        self.greatest_us = self.greatest_us.max(other.greatest_us);
        self.sum_us += other.sum_us;
    }

    /// Milliseconds since 1970 UTC, rounded down; `None` of no rows.
    pub fn least_ms(&self) -> Option<i64> {
        self.of_rows(self.least_us)
    }

    /// See [`Self::least_ms`].
    pub fn mean_ms(&self) -> Option<i64> {
        let mean_us = self.sum_us.checked_div_euclid(i128::from(self.rows))?;
        self.of_rows(i64::try_from(mean_us).ok()?)
    }

    /// See [`Self::least_ms`].
    pub fn greatest_ms(&self) -> Option<i64> {
        self.of_rows(self.greatest_us)
    }

    fn of_rows(&self, us: i64) -> Option<i64> {
        (self.rows > 0).then(|| us.div_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stretches: &[&[i64]]) -> [Option<i64>; 3] {
        let mut span = EventSpan::default();
        for stretch in stretches {
            let mut part = EventSpan::default();
            part.note(stretch);
            span.add(&part);
        }
        [span.least_ms(), span.mean_ms(), span.greatest_ms()]
    }

    #[test]
    fn least_mean_and_greatest_are_those_of_all_rows_however_they_came() {
        assert_eq!(told(&[]), [None; 3]);
        assert_eq!(told(&[&[], &[]]), [None; 3]);
        for stretches in [&[&[1_000, 9_000, 2_000][..]][..], &[&[9_000], &[], &[1_000, 2_000]]] {
            assert_eq!(told(stretches), [Some(1), Some(4), Some(9)]);
        }
        assert_eq!(told(&[&[-1], &[-1]]), [Some(-1); 3]);
        let far = [i64::MAX; 3];
        assert_eq!(told(&[&far]), [Some(i64::MAX / 1000); 3]);
    }
}
