//! Whoever makes the swaps of a running job, one at a time, and keeps their history.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};

use anyhow::{Context, bail};
use crossbeam_channel::{Sender, bounded};
use serde::Serialize;
use serde_json::Value;
use speed_layer_core::clock::ClockBounds;
use speed_layer_plugin::Runtime;
use speed_layer_store::DiskLayer;
use speed_layer_store::posix::CheckpointDir;
use tracing::{info, warn};

use super::prepare::{Named, Opened, Request, SwapPlan, prepare};
use super::{Outcome, Prepared, Reply};
use crate::config::JobSpec;
use crate::job::Event;
use crate::plan::{Plan, StageName};

/// See the module.
pub struct Swapper {
    pub spec: JobSpec,
    pub runtime: Runtime,
    /// What runs now; held for as long as a swap is under way.
    pub running: Mutex<Arc<Plan>>,
    pub workers: usize,
    pub bounds: ClockBounds,
    pub events: Sender<Event>,
    pub kept: CheckpointDir<DiskLayer>,
    /// One line a swap.
    pub history: PathBuf,
}

/// A swap that was asked for, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// RFC 3339, UTC.
    pub at: String,
    pub asked_by: String,
    #[serde(flatten)]
    pub swap: SwapPlan,
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Swapper {
    /// Makes a swap, or with `dry_run` only tells what it would change; `tell` hears that
    /// first.
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub fn swap(
        &self,
        request: &Request,
        name: &str,
        component: &[u8],
        asked_by: &str,
        dry_run: bool,
        tell: &mut dyn FnMut(&SwapPlan) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Report>> {
        let mut running = match self.running.try_lock() {
            Ok(running) => running,
            Err(TryLockError::WouldBlock) => bail!("another swap is under way; try again when it has ended"),
            Err(TryLockError::Poisoned(_)) => bail!("an earlier swap met a fault of the host itself"),
        };
        let request = Request { stage: named(&request.stage, &running)?, ..request.clone() };
        let plugin = self.runtime.load_bytes(name, component)?;
        let opened = prepare(&self.spec, &running, &plugin, &request, self.workers, self.bounds)?;
        let Opened { plan, chains, aggregates, swap } = opened;
        tell(&swap)?;
        if dry_run {
            return Ok(None);
        }
        self.kept.keep_component(component)?;
        let (reply, outcome) = bounded(1);
        let prepared = Prepared { plan: Arc::clone(&plan), chains, aggregates, reply: Reply(reply) };
        let gone = "the job ended before the swap was made";
        self.events.send(Event::Swap(Box::new(prepared))).ok().context(gone)?;
        let outcome = outcome.recv().context(gone)?;
        if let Outcome::Swapped { .. } = outcome {
            *running = plan;
        }
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let report = Report { at, asked_by: asked_by.to_owned(), swap, outcome };
        info!(stage = %report.swap.stage, to = %report.swap.to.digest, outcome = ?report.outcome, "swap");
        if let Err(error) = self.remember(&report) {
            warn!("the history of swaps {} cannot be written: {error:#}", self.history.display());
        }
        Ok(Some(report))
    }

    /// The plugin that served a stage before the present one.
    ///
    /// # Errors
    /// There was none, or its component is not kept any more.
    pub fn before(&self, stage: &StageName) -> anyhow::Result<(String, Vec<u8>)> {
        let stage = {
            let running = self.running.try_lock().ok().context("another swap is under way")?;
            named(stage, &running)?
        };
        let made = read_history(&self.history)?
            .into_iter()
            .rev()
            .find(|report| report["stage"] == stage.to_string().as_str() && report["outcome"] == "swapped");
        let made = made.with_context(|| format!("{stage} has had no other plugin that could be put back"))?;
        let from: Named = serde_json::from_value(made["from"].clone())?;
        let component = self.kept.kept_component(from.digest.parse()?)?;
        let component = component.with_context(|| {
            format!("{} (sha256:{}) is not kept any more; swap it in from its file", from.name, from.digest)
        })?;
        Ok((from.name, component))
    }

    fn remember(&self, report: &Report) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(&self.history)?;
        file.write_all(&line)?;
        Ok(file.sync_data()?)
    }
}

/// Where a job's history of swaps is, below its checkpoint directory.
pub fn history_path(checkpoint_dir: &Path) -> PathBuf {
    checkpoint_dir.join("swaps.jsonl")
}

/// Every swap of a job that was tried, oldest first.
///
/// # Errors
/// The history cannot be read.
pub fn read_history(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = match std::fs::read_to_string(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    // A line that a crash cut short is the last one.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The stage meant: a bare `aggregate` is the only one.
fn named(stage: &StageName, running: &Plan) -> anyhow::Result<StageName> {
    match (stage, running.aggregates.as_slice()) {
        (StageName::Aggregate(name), [only]) if name.is_empty() => {
            Ok(StageName::Aggregate(only.spec.name.clone()))
        }
        (StageName::Aggregate(name), several) if name.is_empty() => {
            let names = several.iter().map(|of| of.spec.name.as_str()).collect::<Vec<_>>().join(", ");
            bail!("the job has several aggregates; say which: {names}")
        }
        _ => Ok(stage.clone()),
    }
}
