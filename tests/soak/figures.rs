//! What a run has come to: for people, as JSON, and whether it is sound.

use std::fmt;

use serde_json::{Value, json};

use crate::chain::{Played, Unswapped};
use crate::process::Growth;

/// After so many swaps a process has what it needs.
const SETTLED: usize = 50;
const RESIDENT_GROWTH_MB_MAX: f64 = 20.0;
/// Cuts of a swap, each in the place of a trigger.
const CUTS: f64 = 2.0;

/// Percentiles of times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    /// All zero where there are no values.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let rank = (sorted.len() as f64 * part).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }

    pub fn to_json(self) -> Value {
        json!({ "p50": self.p50, "p99": self.p99, "max": self.max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", self.p50, self.p99, self.max)
    }
}

/// What is aimed at, with so many groups open.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    pub p99_ms: f64,
    pub groups: usize,
}

/// The figures of one run with swaps.
#[derive(Debug)]
pub struct Run {
    name: &'static str,
    goal: Goal,
    swaps: usize,
    seconds: f64,
    /// Of which each swap takes two.
    epochs: u64,
    rows: i64,
    whole: Spread,
    /// Less the hand-overs and what ordinary triggers take besides.
    beyond: Spread,
    growth: Growth,
    resident_mb: f64,
    has_to_stay: bool,
    differences: Vec<String>,
}

impl Run {
    /// `has_to_stay`: whether growth is a fault.
    pub fn new(
        name: &'static str,
        goal: Goal,
        unswapped: &Unswapped,
        played: Played,
        has_to_stay: bool,
    ) -> Self {
        let Played { swaps, sizes, took, differences } = played;
        let ordinary_ms = unswapped.stood_ms.p50 * CUTS;
        let whole: Vec<f64> = swaps.iter().map(|swap| swap.pause_ms).collect();
        let beyond = swaps.iter().map(|swap| (swap.pause_ms - swap.hand_over_ms - ordinary_ms).max(0.0));
        let first_and_last = swaps.first().zip(swaps.last());
        Self {
            name,
            goal,
            swaps: swaps.len(),
            seconds: took.as_secs_f64(),
            epochs: first_and_last.map_or(0, |(first, last)| last.epoch - first.epoch),
            rows: first_and_last.map_or(0, |(first, last)| last.offset - first.offset),
            whole: Spread::of(&whole),
            beyond: Spread::of(&beyond.collect::<Vec<f64>>()),
            growth: Growth::of(&sizes, SETTLED.min(sizes.len() / 3)),
            resident_mb: sizes.last().map_or(0.0, |size| size.resident_kb as f64 / 1024.0),
            has_to_stay,
            differences,
        }
    }

    /// Whether the results are right and nothing has grown that must not.
    pub fn is_sound(&self) -> bool {
        let Growth { resident_mb, files, maps } = self.growth;
        let stays = resident_mb <= RESIDENT_GROWTH_MB_MAX && files <= 0 && maps <= 0;
        self.differences.is_empty() && (stays || !self.has_to_stay)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "swaps": self.swaps,
            "seconds": self.seconds,
            "open_groups": self.goal.groups,
            "rows": self.rows,
            "epochs": self.epochs,
            "pause_ms": self.whole.to_json(),
            "pause_beyond_a_trigger_ms": self.beyond.to_json(),
            "goal_p99_ms": self.goal.p99_ms,
            "resident_mb": self.resident_mb,
            "growth": { "resident_mb": self.growth.resident_mb, "files": self.growth.files, "maps": self.growth.maps },
            "differences": self.differences.len(),
            "is_sound": self.is_sound(),
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Growth { resident_mb, files, maps } = self.growth;
        let met = if self.beyond.p99 < self.goal.p99_ms { "met" } else { "missed" };
        writeln!(
            f,
            "{}: {} swaps in {:.1} s with {} open groups, {} rows in {} epochs",
            self.name, self.swaps, self.seconds, self.goal.groups, self.rows, self.epochs
        )?;
        writeln!(f, "  pause: {}", self.whole)?;
        writeln!(
            f,
            "  beyond what triggers cost: {}; goal: p99 < {} ms, {met}",
            self.beyond, self.goal.p99_ms
        )?;
        writeln!(
            f,
            "  grown since the first swaps: {resident_mb:+.1} MB of {:.0} MB resident, {files:+} files, {maps:+} maps{}",
            self.resident_mb,
            if self.has_to_stay { " (at most 20, 0 and 0)" } else { "" }
        )?;
        match self.differences.as_slice() {
            [] => write!(f, "  results: those of a job that never was swapped, nothing lost, nothing twice"),
            several => write!(f, "  results: {} differences, such as {}", several.len(), several[0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(Spread::of(&values), Spread { p50: 50.0, p99: 99.0, max: 100.0 });
        assert_eq!(Spread::of(&[3.0]), Spread { p50: 3.0, p99: 3.0, max: 3.0 });
        assert_eq!(Spread::of(&[]).max, 0.0);
    }
}
