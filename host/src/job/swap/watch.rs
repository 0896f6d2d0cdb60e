//! For development: the plugin files of a running job are looked at again and again, and one that has changed
//! is swapped in. A file that somebody is still writing is left alone until it stays as it is; one that is
//! broken, or fails, leaves the old plugin running and is not tried again before it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use speed_layer_plugin::{Digest, read_signature};
use tracing::{debug, info, warn};

use super::component::{FileState, read_component};
use super::{Busy, Outcome, Report, Request, Swapper, Told, Windows};
use crate::config::JobSpec;
use crate::plan::StageName;

/// How often each file is looked at; it has to stay as it is from one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Stands in the history.
const ASKED_BY: &str = "host run --watch";

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    _alive: Sender<()>,
}

/// One stage's file.
#[derive(Debug)]
struct Watched {
    stage: StageName,
    path: PathBuf,
    /// At the last look.
    seen: Option<FileState>,
    /// What has been swapped in or refused.
    done: Option<FileState>,
}

impl Watcher {
    /// # Errors
    /// There is no thread to be had.
    pub fn start(swapper: Arc<Swapper>) -> anyhow::Result<Self> {
        let (alive, end) = bounded::<()>(0);
        let mut files = watched(&swapper.spec);
        let watch = move || {
            while end.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                files.iter_mut().for_each(|file| file.look(&swapper));
            }
        };
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(watch);
        thread.context("the thread that watches the plugins cannot be started")?;
        Ok(Self { _alive: alive })
    }
}

/// Every stage with its file, nothing of which has been seen.
fn watched(spec: &JobSpec) -> Vec<Watched> {
    let transforms = spec.transforms.iter().enumerate().map(|(i, of)| (StageName::Transform(i), &of.plugin));
    let aggregates =
        spec.aggregates.iter().map(|of| (StageName::Aggregate(of.name.clone()), &of.stage.plugin));
    let all = std::iter::once((StageName::Parse, &spec.parse.plugin)).chain(transforms).chain(aggregates);
    all.map(|(stage, path)| Watched { stage, path: path.clone(), seen: None, done: None }).collect()
}

impl Watched {
    fn look(&mut self, swapper: &Swapper) {
        let state = FileState::at(&self.path).ok();
        if !self.is_due(state) {
            return;
        }
        match self.take(swapper) {
            Err(error) if error.is::<Busy>() => {
                return debug!("{} has to wait: {error}", self.path.display());
            }
            Ok(None) => {}
            Ok(Some(report)) => tell(&self.path, &report),
            Err(error) => warn!(
                "{} has changed and is not taken, {} stays as it is: {error:#}",
                self.path.display(),
                self.stage
            ),
        }
        self.done = state;
    }

    /// Whether the file is another one than before and was this one already at the last look.
    fn is_due(&mut self, state: Option<FileState>) -> bool {
        let is_at_rest = std::mem::replace(&mut self.seen, state) == state;
        is_at_rest && state.is_some() && self.done != state
    }

    /// How to ask for the same with another flag.
    fn command(&self, spec: &JobSpec) -> String {
        let (checkpoint, stage, path) = (spec.checkpoint.display(), &self.stage, self.path.display());
        format!("host swap --checkpoint {checkpoint} --job {} --stage {stage} {path}", spec.name)
    }

    /// Swaps the file in, if it is not what runs.
    fn take(&self, swapper: &Swapper) -> anyhow::Result<Option<Report>> {
        let component = read_component(&self.path)?;
        let running = swapper.running();
        let digest = running.plugin(&self.stage).map(|(plugin, _)| plugin.id().digest);
        if digest == Some(Digest::of(&component)) {
            return Ok(None);
        }
        let request = Request {
            stage: self.stage.clone(),
            allow_downgrade: false,
            windows: Windows::TakeOver,
            output: None,
            command: self.command(&swapper.spec),
            shadow: None,
            signature: read_signature(&self.path)?,
        };
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let path = self.path.display();
        swapper.swap(&request, &name, &component, ASKED_BY, false, &mut |told| {
            let Told::Plan(plan) = told else { return Ok(()) };
            info!(
                "{path} has changed: {} is to go to sha256:{} ({:?})",
                plan.stage, plan.to.digest, plan.change
            );
            Ok(())
        })
    }
}

fn tell(path: &Path, report: &Report) {
    let (path, stage) = (path.display(), &report.swap.stage);
    match &report.outcome {
        Outcome::Swapped { pause_ms, .. } => {
            info!("{path} serves {stage} from now on; the stream stood for {pause_ms:.1} ms");
        }
        Outcome::TakenBack { by } => warn!("{path} was taken back by {by}, {stage} stays as it is"),
        Outcome::Shadowed { .. } => {}
        Outcome::RolledBack { why } | Outcome::Refused { why } | Outcome::ShadowFailed { why } => {
            warn!("{path} has changed and is not taken, {stage} stays as it is: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_due_once_it_has_stayed_as_it_is_and_not_again_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        let mut file = Watched { stage: StageName::Parse, path: path.clone(), seen: None, done: None };
        let state_of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            FileState::at(&path).ok()
        };
        assert!(!file.is_due(None) && !file.is_due(None), "there is no file");
        let half = state_of("half");
        assert!(!file.is_due(half), "it may be half a file");
        let whole = state_of("the whole");
        assert!(!file.is_due(whole), "it has changed since the last look");
        assert!(file.is_due(whole));
        assert!(file.is_due(whole), "it was not done");
        file.done = whole;
        assert!(!file.is_due(whole));
        let next = state_of("the next one");
        assert!(!file.is_due(next) && file.is_due(next));
    }
}
