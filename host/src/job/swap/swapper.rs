//! Whoever makes the swaps of a running job, one at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail, ensure};
use crossbeam_channel::{Sender, bounded};
use serde::Serialize;
use speed_layer_core::clock::ClockBounds;
use speed_layer_plugin::{Digest, PluginId, Runtime};
use speed_layer_store::posix::CheckpointDir;
use speed_layer_store::{DiskLayer, Layout, fail_point};
use tracing::{info, warn};

use super::asked::Shadowing;
use super::history::{read_history, remember};
use super::prepare::{Named, Opened, Request, SwapPlan, prepare};
use super::shadow::{self, ShadowProgress};
use super::under_way::{Gate, Pass};
use super::{Outcome, Prepared, Rebuild, Reply, Topic, Windows, output};
use crate::config::{JobSpec, Trigger};
use crate::job::Event;
use crate::plan::{Plan, StageName};

/// See the module.
pub struct Swapper {
    pub spec: JobSpec,
    pub runtime: Runtime,
    /// What runs now.
    pub running: Mutex<Arc<Plan>>,
    /// The directories that it writes to now.
    pub layout: Mutex<Layout>,
    pub gate: Gate,
    pub workers: usize,
    pub bounds: ClockBounds,
    pub events: Sender<Event>,
    /// What the open windows were made of.
    pub topic: Arc<dyn Topic>,
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

/// What a swap takes, before anything of it is made.
struct Opening {
    opened: Opened,
    /// The job's directories with it, where they change.
    layout: Option<Layout>,
    rebuild: Option<Box<Rebuild>>,
}

/// What whoever asked hears before the end.
#[derive(Debug)]
pub enum Told<'a> {
    /// What the swap changes.
    Plan(&'a SwapPlan),
    Shadowing(ShadowProgress),
    /// The swap goes on after this.
    Shadowed(&'a Report),
}

/// Hears of a swap while it is made.
pub type Tell<'a> = &'a mut dyn FnMut(Told<'_>) -> anyhow::Result<()>;

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
            tell(Told::Plan(&self.open(&request, name, component)?.opened.swap))?;
            return Ok(None);
        }
        ensure!(
            request.shadow.is_none() || self.spec.trigger != Trigger::Once,
            "the trigger `once` makes one commit of everything, and a run beside the stream takes several"
        );
        ensure!(
            request.shadow.is_none() || request.windows == Windows::TakeOver,
            "a run beside the stream compares windows that are taken over, not those that are made anew or given up"
        );
        let id = PluginId { name: name.to_owned(), digest: Digest::of(component) };
        let pass = self.gate.enter(&request.stage, id, asked_by)?;
        let mut opening = self.open(&request, name, component)?;
        fail_point("swap.opened");
        tell(Told::Plan(&opening.opened.swap))?;
        if let Some(shadowing) = request.shadow {
            let report = self.shadow(opening.opened, &request.stage, shadowing, &pass, asked_by, tell);
            if !matches!(&report.outcome, Outcome::Shadowed { shadow } if shadowing.promotes(shadow)) {
                pass.end(&report);
                return Ok(Some(report));
            }
            tell(Told::Shadowed(&report))?;
            opening = self.open(&request, name, component)?;
        }
        self.kept.keep_component(component)?;
        if let Some(signature) = &request.signature {
            self.kept.keep_signature(Digest::of(component).hex().parse()?, signature)?;
        }
        fail_point("swap.kept");
        let report = self.cut_over(opening, &pass, asked_by)?;
        self.remember(&report);
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
                Outcome::RolledBack { why } | Outcome::Refused { why } | Outcome::ShadowFailed { why } => {
                    bail!("the swap under way had failed, so there was nothing to take back: {why}")
                }
                Outcome::Shadowed { .. } => {
                    bail!("the run beside the stream had ended, so there was nothing to take back")
                }
            }
        }
        let (name, component, signature) = self.before(&stage)?;
        let request = Request { signature, ..request.clone() };
        self.swap(&request, &name, &component, asked_by, dry_run, tell)
    }

    /// The stages that serve the job now.
    pub fn running(&self) -> Arc<Plan> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Plan>> {
        // One plan replaces another whole, whoever panicked.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, request: &Request, name: &str, component: &[u8]) -> anyhow::Result<Opening> {
        let plugin = self.runtime.load_signed(name, component, request.signature.as_deref())?;
        let opened = prepare(&self.spec, &self.running(), &plugin, request, self.workers, self.bounds)?;
        let layout = self.layout_with(&opened)?;
        let rebuild = self.rebuild(&opened, &request.stage)?;
        Ok(Opening { opened, layout, rebuild })
    }

    /// Has the coordinator go over to what was opened, and waits for what becomes of it.
    fn cut_over(&self, opening: Opening, pass: &Pass<'_>, asked_by: &str) -> anyhow::Result<Report> {
        let Opening { opened, layout, mut rebuild } = opening;
        let Opened { plan, chains, aggregates, windows, output, swap } = opened;
        rebuild.iter_mut().try_for_each(|rebuild| rebuild.catch_up(&pass.taken_back))?;
        let (reply, outcome) = bounded(1);
        let reply = Reply { outcome: reply, taken_back: pass.taken_back.clone() };
        let kept = Arc::clone(&plan);
        let prepared = Prepared { plan: kept, chains, aggregates, windows, output, rebuild, reply };
        let gone = "the job ended before the swap was made";
        self.events.send(Event::Swap(Box::new(prepared))).ok().context(gone)?;
        let outcome = outcome.recv().context(gone)?;
        if let Outcome::Swapped { .. } = outcome {
            *self.lock() = plan;
            self.keep_layout(layout);
        }
        Ok(report(asked_by, swap, outcome))
    }

    /// Runs what was opened beside the stream; the history has a line of it.
    fn shadow(
        &self,
        opened: Opened,
        stage: &StageName,
        shadowing: Shadowing,
        pass: &Pass<'_>,
        asked_by: &str,
        tell: Tell<'_>,
    ) -> Report {
        let swap = opened.swap.clone();
        let mut tell = |progress| match pass.taken_back.by() {
            Some(by) => bail!("it was taken back by {by}"),
            None => tell(Told::Shadowing(progress)).context("whoever asked for it has gone"),
        };
        let ended = shadow::run(&self.running(), opened, stage, shadowing, &self.events, &mut tell);
        let outcome = match (ended, pass.taken_back.by()) {
            (Ok(report), _) => Outcome::Shadowed { shadow: Box::new(report) },
            (Err(_), Some(by)) => Outcome::TakenBack { by: by.to_owned() },
            (Err(error), None) => Outcome::ShadowFailed { why: format!("{error:#}") },
        };
        let report = report(asked_by, swap, outcome);
        self.remember(&report);
        report
    }

    fn remember(&self, report: &Report) {
        if let Err(error) = remember(&self.history, report) {
            warn!("a swap is missing in the history: {error:#}");
        }
    }

    /// The plugin that served a stage before the present one: its name, component and signature.
    fn before(&self, stage: &StageName) -> anyhow::Result<(String, Vec<u8>, Option<Vec<u8>>)> {
        let made = read_history(&self.history)?
            .into_iter()
            .rev()
            .find(|report| report["stage"] == stage.to_string().as_str() && report["outcome"] == "swapped");
        let made = made.with_context(|| format!("{stage} has had no other plugin that could be put back"))?;
        let from: Named = serde_json::from_value(made["from"].clone())?;
        let digest = from.digest.parse()?;
        let component = self.kept.kept_component(digest)?;
        let component = component.with_context(|| {
            format!("{} (sha256:{}) is not kept any more; swap it in from its file", from.name, from.digest)
        })?;
        Ok((from.name, component, self.kept.kept_signature(digest)?))
    }

    /// The directories of the job once the swap is made, if these change.
    fn layout_with(&self, opened: &Opened) -> anyhow::Result<Option<Layout>> {
        let Some((index, dir)) = &opened.output else { return Ok(None) };
        output::check(&self.layout(), &opened.plan.aggregates[*index].spec.name, dir).map(Some)
    }

    fn rebuild(&self, opened: &Opened, stage: &StageName) -> anyhow::Result<Option<Box<Rebuild>>> {
        if !opened.windows.contains(&Windows::Rebuild) {
            return Ok(None);
        }
        let (windows, topic) = (&opened.windows, Arc::clone(&self.topic));
        let rebuild = Rebuild::begin(&self.spec, &opened.plan, stage, windows, topic, &self.layout());
        Ok(Some(Box::new(rebuild.context("the open windows cannot be made anew")?)))
    }

    fn layout(&self) -> Layout {
        self.layout.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_layout(&self, layout: Option<Layout>) {
        if let Some(layout) = layout {
            *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = layout;
        }
    }
}

/// What became of a swap, told in the log.
fn report(asked_by: &str, swap: SwapPlan, outcome: Outcome) -> Report {
    let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let report = Report { at, asked_by: asked_by.to_owned(), swap, outcome };
    info!(stage = %report.swap.stage, to = %report.swap.to.digest, outcome = ?report.outcome, "swap");
    report
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
