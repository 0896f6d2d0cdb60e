//! Whoever makes the swaps of a running job, one at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use crossbeam_channel::{Sender, bounded};
use serde::Serialize;
use speed_layer_core::clock::ClockBounds;
use speed_layer_plugin::{Digest, PluginId, Runtime};
use speed_layer_store::posix::CheckpointDir;
use speed_layer_store::{DiskLayer, fail_point};
use tracing::{info, warn};

use super::history::{read_history, remember};
use super::prepare::{Named, Opened, Request, SwapPlan, prepare};
use super::under_way::{Gate, Pass};
use super::{Outcome, Prepared, Reply};
use crate::config::JobSpec;
use crate::job::Event;
use crate::plan::{Plan, StageName};

/// See the module.
pub struct Swapper {
    pub spec: JobSpec,
    pub runtime: Runtime,
    /// What runs now.
    pub running: Mutex<Arc<Plan>>,
    pub gate: Gate,
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

/// Hears what a swap changes before it is made.
pub type Tell<'a> = &'a mut dyn FnMut(&SwapPlan) -> anyhow::Result<()>;

impl Swapper {
    /// Makes a swap, or with `dry_run` only tells what it would change; `tell` hears that
    /// first.
    ///
    /// # Errors
    /// Why it is refused, a [`Busy`](super::Busy) among them; nothing has changed then.
    pub fn swap(
        &self,
        request: &Request,
        name: &str,
        component: &[u8],
        asked_by: &str,
        dry_run: bool,
        tell: Tell<'_>,
    ) -> anyhow::Result<Option<Report>> {
        let request = Request { stage: named(&request.stage, &self.running())?, ..request.clone() };
        if dry_run {
            tell(&self.open(&request, name, component)?.swap)?;
            return Ok(None);
        }
        let id = PluginId { name: name.to_owned(), digest: Digest::of(component) };
        let pass = self.gate.enter(&request.stage, id, asked_by)?;
        let opened = self.open(&request, name, component)?;
        fail_point("swap.opened");
        tell(&opened.swap)?;
        self.kept.keep_component(component)?;
        fail_point("swap.kept");
        let report = self.cut_over(opened, &pass, asked_by)?;
        if let Err(error) = remember(&self.history, &report) {
            warn!("a swap is missing in the history: {error:#}");
        }
        pass.end(&report);
        Ok(Some(report))
    }

    /// Puts the plugin before the present one back. A swap of the stage that is not
    /// committed yet is taken back, as if it had never been asked for; after that, it is a
    /// swap like any other.
    ///
    /// # Errors
    /// There was no other plugin, or its component is not kept any more; or as
    /// [`Self::swap`].
    pub fn back(
        &self,
        request: &Request,
        asked_by: &str,
        dry_run: bool,
        tell: Tell<'_>,
    ) -> anyhow::Result<Option<Report>> {
        let stage = named(&request.stage, &self.running())?;
        let under_way = if dry_run { None } else { self.gate.take_back(&stage, asked_by) };
        if let Some(ended) = under_way {
            // A job that has ended has ended the swap as well.
            let _ = self.events.send(Event::TakenBack);
            let report =
                ended.recv().context("the swap under way was refused, so there is nothing to take back")?;
            match &report.outcome {
                Outcome::TakenBack { .. } => return Ok(Some(report)),
                Outcome::Swapped { .. } => {}
                Outcome::RolledBack { why } | Outcome::Refused { why } => {
                    bail!("the swap under way had failed, so there was nothing to take back: {why}")
                }
            }
        }
        let (name, component) = self.before(&stage)?;
        self.swap(request, &name, &component, asked_by, dry_run, tell)
    }

    /// The stages that serve the job now.
    pub fn running(&self) -> Arc<Plan> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Plan>> {
        // One plan replaces another whole, whoever panicked.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, request: &Request, name: &str, component: &[u8]) -> anyhow::Result<Opened> {
        let plugin = self.runtime.load_bytes(name, component)?;
        prepare(&self.spec, &self.running(), &plugin, request, self.workers, self.bounds)
    }

    /// Has the coordinator go over to what was opened, and waits for what becomes of it.
    fn cut_over(&self, opened: Opened, pass: &Pass<'_>, asked_by: &str) -> anyhow::Result<Report> {
        let Opened { plan, chains, aggregates, swap } = opened;
        let (reply, outcome) = bounded(1);
        let reply = Reply { outcome: reply, taken_back: pass.taken_back.clone() };
        let prepared = Prepared { plan: Arc::clone(&plan), chains, aggregates, reply };
        let gone = "the job ended before the swap was made";
        self.events.send(Event::Swap(Box::new(prepared))).ok().context(gone)?;
        let outcome = outcome.recv().context(gone)?;
        if let Outcome::Swapped { .. } = outcome {
            *self.lock() = plan;
        }
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let report = Report { at, asked_by: asked_by.to_owned(), swap, outcome };
        info!(stage = %report.swap.stage, to = %report.swap.to.digest, outcome = ?report.outcome, "swap");
        Ok(report)
    }

    /// The plugin that served a stage before the present one.
    fn before(&self, stage: &StageName) -> anyhow::Result<(String, Vec<u8>)> {
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
