//! A worker's side of a probation: the stages before, and every batch since, so that the
//! job can go back to the cut as if nothing had been.

use speed_layer_core::records::Records;

use crate::stages::Chain;

/// Batches that new stages take before they are judged.
const BATCHES: usize = 4;
/// With this many bytes held, a worker takes no more until it is judged.
const BYTES_MAX: usize = 64 << 20;

/// What a worker keeps while its new stages are on probation.
pub struct Probation {
    pub before: Chain,
    pub batches: Vec<Records>,
    bytes: usize,
    pub failed: bool,
}

impl Probation {
    pub fn of(before: Chain) -> Self {
        Self { before, batches: Vec::new(), bytes: 0, failed: false }
    }

    pub fn keep(&mut self, records: &Records) {
        self.bytes += records.payload_bytes();
        self.batches.push(records.clone());
    }

    pub fn has_enough(&self) -> bool {
        self.batches.len() >= BATCHES
    }

    pub fn holds_no_more(&self) -> bool {
        self.failed || self.bytes >= BYTES_MAX
    }
}
