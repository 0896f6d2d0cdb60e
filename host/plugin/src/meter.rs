//! Counts the memory and tables that an instance grows to, and refuses what goes over
//! its limits. A refusal is remembered, because the guest only sees a failed growth
//! and mostly ends in a trap that does not say why. Memory that was granted stays counted until the instance is
//! dropped, even where the system then had none to give.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::{Limits, Usage};

/// The growth that was refused last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Bytes of linear memory asked for, all memories together.
    Memory(u64),
    /// Elements asked for in one table.
    Table(u64),
}

/// The limiter of one instance.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    memory_bytes: u64,
    usage: Arc<Usage>,
    refused: Option<Refused>,
}

impl Meter {
    /// What is granted is also noted in `usage`, until this is dropped.
    pub fn new(limits: &Limits, usage: Arc<Usage>) -> Self {
        Self { limits: limits.clone(), memory_bytes: 0, usage, refused: None }
    }

    /// What was refused since this was last called.
    pub fn take_refused(&mut self) -> Option<Refused> {
        self.refused.take()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.usage.memory_freed(self.memory_bytes);
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current) as u64;
        let total = self.memory_bytes.saturating_add(growth);
        if total > self.limits.memory_bytes_max {
            self.refused = Some(Refused::Memory(total));
            return Ok(false);
        }
        self.memory_bytes = total;
        self.usage.memory_grown(growth);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired as u64 <= self.limits.table_elements_max;
        if !allowed {
            self.refused = Some(Refused::Table(desired as u64));
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        self.limits.instances_max
    }

    fn tables(&self) -> usize {
        self.limits.tables_max
    }

    fn memories(&self) -> usize {
        self.limits.memories_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Meter {
        Meter::new(
            &Limits { memory_bytes_max: 100, table_elements_max: 10, ..Limits::default() },
            Arc::default(),
        )
    }

    #[test]
    fn memories_are_counted_together() {
        let mut meter = meter();
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(0, 41, None).unwrap());
        assert_eq!(meter.take_refused(), Some(Refused::Memory(101)));
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert_eq!(meter.take_refused(), None);
    }

    #[test]
    fn a_table_has_its_own_limit() {
        let mut meter = meter();
        assert!(meter.table_growing(0, 10, None).unwrap());
        assert!(!meter.table_growing(10, 11, None).unwrap());
        assert_eq!(meter.take_refused(), Some(Refused::Table(11)));
    }
}
