//! What one commit may take in, shared by the workers: each reserves before it polls
//! and gives back what the poll did not bring.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub struct Budget {
    cap: Option<u64>,
    left: AtomicU64,
}

impl Budget {
    /// `None`: as much as comes.
    pub fn new(cap: Option<u64>) -> Self {
        Self { cap, left: AtomicU64::new(cap.unwrap_or(u64::MAX)) }
    }

    /// Takes up to `wanted` of what is left.
    pub fn reserve(&self, wanted: usize) -> usize {
        if self.cap.is_none() {
            return wanted;
        }
        let take = |left: u64| Some(left - left.min(wanted as u64));
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(left) => left.min(wanted as u64) as usize,
            Err(_) => 0,
        }
    }

    /// Gives back what was reserved and not used.
    pub fn give_back(&self, unused: usize) {
        if self.cap.is_some() {
            self.left.fetch_add(unused as u64, Ordering::SeqCst);
        }
    }

    /// A new epoch begins; no worker holds a reservation.
    pub fn refill(&self) {
        self.left.store(self.cap.unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_together_take_no_more_than_the_cap() {
        let budget = Budget::new(Some(10));
        assert_eq!((budget.reserve(7), budget.reserve(7), budget.reserve(7)), (7, 3, 0));
        budget.give_back(2);
        assert_eq!(budget.reserve(7), 2);
        budget.refill();
        assert_eq!(budget.reserve(20), 10);
    }

    #[test]
    fn without_a_cap_everything_is_taken() {
        let budget = Budget::new(None);
        assert_eq!(budget.reserve(7), 7);
        assert_eq!(budget.reserve(7), 7);
    }
}
