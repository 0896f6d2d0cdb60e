//! How many rows left the line, by who set them aside and why; for whoever watches. What becomes of the rows is not
//! known here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sides::{Side, SideRow, Sides};

/// No more reasons than this are told apart: they are a plugin's to choose, and each is kept for as long as the job runs.
const REASONS_MAX: usize = 200;
/// Stands for all reasons beyond that.
const OTHER: &str = "other";

/// Why a row left the line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SideReason {
    /// Or a dead letter.
    pub is_late: bool,
    pub stage: String,
    pub aggregate: Option<String>,
    pub kind: String,
}

/// Rows by their reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideCounts(BTreeMap<SideReason, u64>);

impl SideCounts {
    pub fn of(sides: &Sides) -> Self {
        let mut counts = Self::default();
        for alike in sides.since(0).chunk_by(are_alike) {
            counts.count(reason(&alike[0]), alike.len() as u64);
        }
        counts
    }

    pub fn add(&mut self, other: &Self) {
        other.iter().for_each(|(reason, rows)| self.count(reason.clone(), rows));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&SideReason, u64)> {
        self.0.iter().map(|(reason, rows)| (reason, *rows))
    }

    fn count(&mut self, reason: SideReason, rows: u64) {
        let is_known = self.0.contains_key(&reason) || self.0.len() < REASONS_MAX;
        let reason = if is_known { reason } else { SideReason { kind: OTHER.to_owned(), ..reason } };
        *self.0.entry(reason).or_default() += rows;
    }
}

fn are_alike(one: &SideRow, other: &SideRow) -> bool {
    Arc::ptr_eq(&one.culprit, &other.culprit) && one.kind == other.kind && is_late(one) == is_late(other)
}

fn is_late(row: &SideRow) -> bool {
    matches!(row.side, Side::Late { .. })
}

fn reason(row: &SideRow) -> SideReason {
    SideReason {
        is_late: is_late(row),
        stage: row.culprit.stage.clone(),
        aggregate: row.culprit.aggregate.clone(),
        kind: row.kind.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(kinds: impl IntoIterator<Item = (String, u64)>) -> SideCounts {
        let mut counts = SideCounts::default();
        for (kind, rows) in kinds {
            let reason = SideReason { is_late: false, stage: "parse".into(), aggregate: None, kind };
            counts.count(reason, rows);
        }
        counts
    }

    #[test]
    fn rows_of_a_reason_are_counted_together() {
        let mut all = counts([("json".into(), 2), ("clock".into(), 1)]);
        all.add(&counts([("json".into(), 3)]));
        let told: Vec<_> = all.iter().map(|(reason, rows)| (reason.kind.as_str(), rows)).collect();
        assert_eq!(told, [("clock", 1), ("json", 5)]);
    }

    #[test]
    fn a_plugin_that_makes_reasons_up_fills_no_memory() {
        let all = counts((0..1_000).map(|number| (format!("kind-{number}"), 1)));
        assert_eq!(all.iter().count(), REASONS_MAX + 1);
        assert_eq!(all.iter().map(|(_, rows)| rows).sum::<u64>(), 1_000);
        let other = all.iter().find(|(reason, _)| reason.kind == OTHER).map(|(_, rows)| rows);
        assert_eq!(other, Some(1_000 - REASONS_MAX as u64));
    }
}
