//! Up to where each aggregate's windows are closed with a cut: by the event times that the
//! partitions have come to, or, where the settings want it and nothing comes any more, by the
//! wall clock of the trigger; and what of that is held. Only the clocks of the aggregates change.

use speed_layer_core::time::{Duration, WindowSpec};
use speed_layer_core::watermark::{close_idle, close_through};

use super::commit::HoldAt;
use super::coordinator::Coordinator;
use super::partitions::Partitions;
use crate::config::{AggregateSpec, JobSpec};
use crate::stages::AggregateClock;

/// The rules of a job.
#[derive(Debug)]
pub struct Closing {
    /// One an aggregate.
    rules: Vec<Rule>,
    idle_timeout_ms: u64,
    closes_idle: bool,
}

#[derive(Debug)]
struct Rule {
    window: WindowSpec,
    delay_ms: u64,
}

impl Coordinator<'_> {
    /// The clocks after a cut at `now_ms`: what is closed, and what of that is published now.
    pub(super) fn clocks_at(&mut self, now_ms: i64) -> Vec<AggregateClock> {
        let mut clocks = self.closing.at(now_ms, &self.epoch.aggregates, &self.partitions);
        let offsets = self.partitions.marks();
        let at = HoldAt { now_ms, offsets: &offsets, releases_all: self.swap.is_some() };
        self.commits.hold(&mut clocks, at);
        clocks
    }
}

impl Closing {
    /// # Errors
    /// A window without a length.
    pub fn of(spec: &JobSpec) -> anyhow::Result<Self> {
        let rule = |of: &AggregateSpec| {
            let window = WindowSpec::new(Duration::from_ms(of.window_ms)?)?;
            Ok(Rule { window, delay_ms: of.watermark_ms })
        };
        Ok(Self {
            rules: spec.aggregates.iter().map(rule).collect::<anyhow::Result<_>>()?,
            idle_timeout_ms: spec.clock.idle_timeout_ms.unsigned_abs(),
            closes_idle: spec.clock.close_on_idle,
        })
    }

    /// The clocks after a cut at `now_ms`, given those before it.
    pub fn at(&self, now_ms: i64, before: &[AggregateClock], partitions: &Partitions) -> Vec<AggregateClock> {
        let clock_ms = partitions.clock_ms();
        let idle_at_ms = (self.closes_idle && partitions.are_all_idle()).then_some(now_ms);
        let close = |(clock, rule)| self.close(clock, rule, clock_ms, idle_at_ms);
        before.iter().zip(&self.rules).map(close).collect()
    }

    fn close(
        &self,
        before: &AggregateClock,
        rule: &Rule,
        clock_ms: Option<i64>,
        idle_at_ms: Option<i64>,
    ) -> AggregateClock {
        let closed_ms = before.closed_through_ms;
        let idle = idle_at_ms.and_then(|now_ms| {
            let idle_ms = close_idle(closed_ms, now_ms, rule.delay_ms, self.idle_timeout_ms, rule.window)?;
            Some((idle_ms, now_ms))
        });
        if let Some((idle_ms, now_ms)) = idle {
            return AggregateClock {
                closed_through_ms: Some(idle_ms),
                idle_trigger_ms: Some(now_ms),
                ..*before
            };
        }
        let closed_through_ms = close_through(closed_ms, clock_ms, rule.delay_ms);
        let idle_trigger_ms = before.idle_trigger_ms.filter(|_| closed_through_ms == closed_ms);
        AggregateClock { closed_through_ms, idle_trigger_ms, ..*before }
    }
}
