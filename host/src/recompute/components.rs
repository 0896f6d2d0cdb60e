//! Plugins by their digest: those that a job has kept beside its checkpoints, and files.
//! A component with another digest never stands in for one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use speed_layer_core::commit::{Digest, Generation, PluginUse};
use speed_layer_plugin::{Plugin, Runtime, read_signature};
use speed_layer_store::DiskLayer;
use speed_layer_store::part::digest_of_bytes;
use speed_layer_store::posix::CheckpointDir;

use crate::config::{JobSpec, StageSpec};

/// Where components are looked for.
pub struct Components {
    runtime: Runtime,
    kept: CheckpointDir<DiskLayer>,
    kept_in: PathBuf,
    files: Vec<PathBuf>,
    loaded: RefCell<HashMap<Digest, Plugin>>,
}

impl Components {
    /// Those kept in a job's checkpoint directory; then those of the job's stages as they are
    /// on disk now, and `files`.
    pub fn of(runtime: Runtime, checkpoint_dir: &Path, spec: &JobSpec, files: &[PathBuf]) -> Self {
        let stages = std::iter::once(&spec.parse)
            .chain(&spec.transforms)
            .chain(spec.aggregates.iter().map(|aggregate| &aggregate.stage));
        let files = files.iter().chain(stages.map(|stage| &stage.plugin)).cloned().collect();
        // A generation is for those that write.
        let kept = CheckpointDir::new(DiskLayer, checkpoint_dir, Generation::default());
        Self { runtime, kept, kept_in: checkpoint_dir.to_owned(), files, loaded: RefCell::default() }
    }

    /// The plugin that a footer names for a stage, whose configuration is to be the same too.
    ///
    /// # Errors
    /// No such component is at hand, or the stage is configured otherwise now.
    pub fn get(&self, name: &str, used: &PluginUse, stage: &StageSpec) -> anyhow::Result<Plugin> {
        ensure!(
            digest_of_bytes(stage.config_json().as_bytes()) == used.config,
            "{name} was configured otherwise when the file was made (sha256:{}): give {} the settings that it had then",
            used.config,
            used.name
        );
        if let Some(plugin) = self.loaded.borrow().get(&used.digest) {
            return Ok(plugin.clone());
        }
        let found = self.find(used).with_context(|| format!("the plugin of stage {name} is wanted"))?;
        let plugin = self.runtime.load_signed(&used.name, &found.0, found.1.as_deref())?;
        self.loaded.borrow_mut().insert(used.digest, plugin.clone());
        Ok(plugin)
    }

    /// The component and its signature.
    fn find(&self, used: &PluginUse) -> anyhow::Result<(Vec<u8>, Option<Vec<u8>>)> {
        if let Some(component) = self.kept.kept_component(used.digest)? {
            return Ok((component, self.kept.kept_signature(used.digest)?));
        }
        for file in &self.files {
            match std::fs::read(file) {
                Ok(component) if digest_of_bytes(&component) == used.digest => {
                    return Ok((component, read_signature(file)?));
                }
                // One that cannot be read is none that could serve.
                Ok(_) | Err(_) => {}
            }
        }
        bail!(
            "{} (sha256:{}) is neither kept in {} nor among the files given; give its file with --plugin",
            used.name,
            used.digest,
            self.kept_in.display()
        )
    }
}
