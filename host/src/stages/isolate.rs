//! What becomes of a batch in which a plugin failed: its rows are tried in halves, and
//! halves of these, until those that fail alone are known. They go to the dead letters,
//! the others through. It keeps count of what that costs and gives up where it is too
//! much: then the job stops before the batch.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use speed_layer_plugin::PluginError;
use tracing::warn;

use super::culprits::{part_of_time, too_many, took_too_long};
use super::sides::{Reason, Side};
use crate::config::PoisonSpec;

/// What is searched for, as the errors say it.
const WHAT: &str = "rows";

/// The search in the present batch.
#[derive(Debug, Default)]
pub struct Isolation {
    /// `None`: any failure is the batch's.
    limits: Option<PoisonSpec>,
    batch_records: usize,
    began: Option<Instant>,
    poisoned: usize,
}

impl Isolation {
    /// From now on rows are searched for.
    pub fn allow(&mut self, limits: PoisonSpec) {
        self.limits = Some(limits);
    }

    pub fn begin_batch(&mut self, records: usize) {
        *self = Self { limits: self.limits, batch_records: records, began: None, poisoned: 0 };
    }

    /// The time for a call with so many rows: of the whole batch's twice its part, while rows
    /// are searched for; `None` when a call has all its time, and a second try.
    pub fn times(&self, rows: usize) -> Option<f64> {
        self.began.map(|_| part_of_time(rows, self.batch_records))
    }

    /// Takes up a failure of several rows, or of one that is to be [`Self::poison`].
    ///
    /// # Errors
    /// The failure itself, where rows are not to blame or the search has taken too long.
    pub fn suspect(&mut self, error: PluginError) -> anyhow::Result<PluginError> {
        let Some(limits) = self.limits.filter(|_| error.may_lie_in_rows()) else { return Err(error.into()) };
        if self.began.is_none() {
            warn!("the rows that a plugin fails on are searched for, one by one if need be: {error}");
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() <= Duration::from_millis(limits.budget_ms) {
            return Ok(error);
        }
        Err(error).with_context(|| took_too_long(WHAT, self.poisoned, limits))
    }

    /// Counts a row that fails alone; why it leaves the line.
    ///
    /// # Errors
    /// There are too many of them in the batch.
    pub fn poison(&mut self, error: PluginError) -> anyhow::Result<Reason> {
        self.poisoned += 1;
        let limits = self.limits.unwrap_or_default();
        if let Some(said) = too_many(WHAT, self.poisoned, self.batch_records, limits) {
            bail!(anyhow::Error::from(error).context(said));
        }
        Ok(Reason { side: Side::DeadLetter, kind: error.kind().to_owned(), message: error.to_string() })
    }

    /// Says what came of the search, if there was one.
    pub fn end_batch(&self) {
        if let Some(began) = self.began {
            let (rows, took_ms) = (self.poisoned, began.elapsed().as_millis() as u64);
            warn!(rows, took_ms, "rows that a plugin fails on became dead letters, the others went through");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use speed_layer_plugin::{CallSite, Callback, Clock, Digest, PluginId, Stage};

    fn call() -> CallSite {
        let plugin = PluginId { name: "p".into(), digest: Digest::of(b"p") };
        CallSite { plugin, stage: Stage::Parse, callback: Callback::Parse }
    }

    fn trap() -> PluginError {
        PluginError::Trap { call: call(), reason: "unreachable".into() }
    }

    fn overran(clock: Clock) -> PluginError {
        PluginError::Deadline { call: call(), clock, budget_ms: 5 }
    }

    fn search(limits: PoisonSpec, records: usize) -> Isolation {
        let mut search = Isolation::default();
        search.allow(limits);
        search.begin_batch(records);
        search
    }

    #[test]
    fn only_failures_that_rows_can_cause_are_searched_for() {
        for (error, is_searched) in [
            (trap(), true),
            (overran(Clock::Cpu), true),
            (overran(Clock::Wall), false),
            (PluginError::RetryBatch { call: call(), message: String::new() }, false),
            (PluginError::StopJob { call: call(), message: String::new() }, false),
            (PluginError::Spent { call: call() }, false),
        ] {
            let said = error.to_string();
            assert_eq!(search(PoisonSpec::default(), 8).suspect(error).is_ok(), is_searched, "{said}");
        }
        assert!(Isolation::default().suspect(trap()).is_err());
    }

    #[test]
    fn a_part_of_a_batch_has_twice_its_part_of_the_time() {
        let mut search = search(PoisonSpec::default(), 100);
        assert_eq!(search.times(100), None);
        search.suspect(trap()).unwrap();
        assert_eq!([100, 50, 25, 1].map(|rows| search.times(rows)), [1.0, 1.0, 0.5, 0.02].map(Some));
        search.begin_batch(7);
        assert_eq!(search.times(7), None);
    }

    #[test]
    fn too_many_rows_or_too_long_a_search_give_the_failure_with_the_setting_to_change() {
        let mut few = search(PoisonSpec { share_max: 0.5, ..PoisonSpec::default() }, 40);
        let mut found = || few.suspect(trap()).and_then(|error| few.poison(error));
        for _ in 0..20 {
            assert_eq!(found().unwrap().kind, "plugin-trapped");
        }
        let said = format!("{:#}", found().unwrap_err());
        assert!(said.contains("more than 20 rows") && said.contains("poison_share_max"), "{said}");
        let mut short = search(PoisonSpec { budget_ms: 0, ..PoisonSpec::default() }, 40);
        while short.suspect(trap()).is_ok() {}
        let said = format!("{:#}", short.suspect(trap()).unwrap_err());
        assert!(said.contains("isolation_budget") && said.contains("trapped"), "{said}");
    }
}
