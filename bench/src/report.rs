//! What was measured, as a table and as JSON: medians, and how far the rounds lie apart.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::Utc;
use serde_json::{Value, json};

use crate::engines::{Engine, Name, Outcome};
use crate::plan::{Case, Plan};

const HEAD: &str = "| topic | engine | records/s (least to greatest) | of the first engine's | CPU s per million | broker's | \
peak memory, MB | start to first file, s | result |\n|---|---|---|---|---|---|---|---|---|\n";

pub struct Report {
    rounds: usize,
    versions: BTreeMap<&'static str, String>,
    order: Vec<&'static str>,
    cases: Vec<(Case, Vec<Outcome>)>,
}

/// Of one engine in one case.
struct Figures<'a> {
    records: f64,
    outcomes: Vec<&'a Outcome>,
}

impl Report {
    pub fn new(plan: &Plan, engines: &[Engine]) -> Self {
        let versions = engines.iter().map(|of| (of.name.text(), of.version.clone())).collect();
        let order = plan.engines.iter().map(|name| Name::text(*name)).collect();
        Self { rounds: plan.rounds, versions, order, cases: Vec::new() }
    }

    pub fn note(&mut self, case: &Case, outcome: Outcome) {
        match self.cases.last_mut().filter(|(last, _)| last == case) {
            Some((_, outcomes)) => outcomes.push(outcome),
            None => self.cases.push((case.clone(), vec![outcome])),
        }
    }

    /// In Markdown. An engine whose result is wrong has no rate.
    pub fn table(&self) -> String {
        let mut text = format!("{} rounds each, {}\n\n{HEAD}", self.rounds, Utc::now().format("%Y-%m-%d"));
        for (case, outcomes) in &self.cases {
            let of = |name: &str| Figures::of(case, outcomes, name);
            let first = self.order.first().map_or(f64::NAN, |name| of(name).records_per_s());
            for name in &self.order {
                let figures = of(name);
                // Writing to a String never fails.
                let _ = writeln!(text, "| {case} | {} | {} |", self.versions[name], figures.row(first));
            }
        }
        text
    }

    /// Every run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let case = |(case, outcomes): &(Case, Vec<Outcome>)| {
            let runs: Vec<Value> = outcomes.iter().map(run).collect();
            json!({
                "records": case.rows,
                "codec": case.codec.name(),
                "symbols": case.symbols,
                "partitions": case.partitions,
                "runs": runs,
            })
        };
        let cases: Vec<Value> = self.cases.iter().map(case).collect();
        let text = format!(
            "{:#}\n",
            json!({ "at": Utc::now().to_rfc3339(), "engines": self.versions, "cases": cases })
        );
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn run(outcome: &Outcome) -> Value {
    json!({
        "engine": outcome.engine,
        "running_s": outcome.running_s,
        "wall_s": outcome.watched.wall_s,
        "cpu_s": outcome.watched.cpu_s,
        "broker_cpu_s": outcome.broker_cpu_s,
        "peak_rss_bytes": outcome.watched.peak_rss_bytes,
        "first_file_s": outcome.first_commit_s,
        "wrong": outcome.wrong,
        "command": outcome.command,
    })
}

impl<'a> Figures<'a> {
    fn of(case: &Case, outcomes: &'a [Outcome], name: &str) -> Self {
        let outcomes = outcomes.iter().filter(|outcome| outcome.engine == name).collect();
        Self { records: case.rows as f64, outcomes }
    }

    fn records_per_s(&self) -> f64 {
        self.records / self.median(|outcome| outcome.running_s)
    }

    fn row(&self, first_per_s: f64) -> String {
        if let Some(wrong) = self.outcomes.iter().find_map(|outcome| outcome.wrong.as_ref()) {
            return format!("| | | | | | wrong: {wrong}");
        }
        let (least, greatest) = self.spread(|outcome| outcome.running_s);
        let megabytes = self.median(|outcome| outcome.watched.peak_rss_bytes as f64) / 1e6;
        let per_million = |seconds: f64| seconds / self.records * 1e6;
        let first_file = self.median(|outcome| outcome.first_commit_s.unwrap_or(f64::NAN));
        format!(
            "{:.0} ({:.0} to {:.0}) | {:.3} | {:.2} | {:.2} | {megabytes:.0} | {} | right",
            self.records_per_s(),
            self.records / greatest,
            self.records / least,
            self.records_per_s() / first_per_s,
            per_million(self.median(|outcome| outcome.watched.cpu_s)),
            per_million(self.median(|outcome| outcome.broker_cpu_s)),
            if first_file.is_nan() { String::new() } else { format!("{first_file:.2}") },
        )
    }

    fn sorted(&self, of: impl Fn(&Outcome) -> f64) -> Vec<f64> {
        let mut values: Vec<f64> = self.outcomes.iter().map(|outcome| of(outcome)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        let values = self.sorted(of);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn spread(&self, of: impl Fn(&Outcome) -> f64) -> (f64, f64) {
        let values = self.sorted(of);
        let at = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        (at(values.first()), at(values.last()))
    }
}
