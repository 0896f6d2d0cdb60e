//! The time a call has taken, by two clocks. The CPU clock of the calling thread is
//! the one that counts; the wall clock only ends a call that waits for ever. Decides
//! nothing about what becomes of the batch.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Limits;

/// A call may take this many times its CPU budget by the clock on the wall: a busy
/// machine must not make an honest call fail, and a call must end all the same.
const WALL_PER_CPU: u64 = 30;
/// However small a part of a batch is: a call has its own cost.
const CPU_MS_MIN: u64 = 100;

/// The clock by which a call took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// CPU time of the calling thread.
    Cpu,
    /// Time on the wall; the CPU budget was not used up.
    Wall,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Clock::Cpu => "CPU time",
            Clock::Wall => "wall-clock time",
        })
    }
}

/// Raised inside a guest whose time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the call used up its {budget_ms} ms of {clock}")]
pub(crate) struct Overrun {
    pub clock: Clock,
    pub budget_ms: u64,
}

/// Started when a call starts, on the thread that makes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTimer {
    cpu_began: Duration,
    wall_began: Instant,
    cpu_budget_ms: u64,
    wall_budget_ms: u64,
}

impl CallTimer {
    /// Of a call with this many times the usual time.
    pub fn of(limits: &Limits, times: f64) -> Self {
        let cpu_ms = limits.call_cpu_ms;
        let budget_ms = ((cpu_ms as f64 * times) as u64).max(cpu_ms.min(CPU_MS_MIN));
        Self::start(budget_ms, budget_ms.saturating_mul(WALL_PER_CPU))
    }

    pub fn start(cpu_budget_ms: u64, wall_budget_ms: u64) -> Self {
        Self { cpu_began: thread_cpu(), wall_began: Instant::now(), cpu_budget_ms, wall_budget_ms }
    }

    /// Must be called on the thread that started it.
    pub fn check(&self) -> Result<(), Overrun> {
        let cpu = thread_cpu().saturating_sub(self.cpu_began);
        if cpu > Duration::from_millis(self.cpu_budget_ms) {
            return Err(Overrun { clock: Clock::Cpu, budget_ms: self.cpu_budget_ms });
        }
        if self.wall_began.elapsed() > Duration::from_millis(self.wall_budget_ms) {
            return Err(Overrun { clock: Clock::Wall, budget_ms: self.wall_budget_ms });
        }
        Ok(())
    }
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(wall: Duration) {
        let began = Instant::now();
        while began.elapsed() < wall {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_thread_that_computes_uses_up_its_cpu_budget() {
        let timer = CallTimer::start(5, u64::MAX);
        while timer.check().is_ok() {
            spin(Duration::from_millis(1));
        }
        assert_eq!(timer.check(), Err(Overrun { clock: Clock::Cpu, budget_ms: 5 }));
    }

    #[test]
    fn a_thread_that_waits_uses_up_its_wall_limit_only() {
        let timer = CallTimer::start(60_000, 0);
        spin(Duration::from_millis(1));
        assert_eq!(timer.check(), Err(Overrun { clock: Clock::Wall, budget_ms: 0 }));
    }
}
