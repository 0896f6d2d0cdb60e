//! The open windows of a checkpoint, read without the job that holds them: its plugins are
//! opened as the checkpoint says, and asked what the windows hold so far; what a running job has folded since can be
//! added. Changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use speed_layer_core::commit::{AggregateProgress, OutputId, OutputRoot};
use speed_layer_core::group::{GroupTable, KeyBytes, StoredGroups, WindowGroups};
use speed_layer_core::key::KeyEncoder;
use speed_layer_plugin::{Context, Runtime};
use speed_layer_store::Checkpoint;
use speed_layer_store::layer::FileLayer;
use speed_layer_store::posix::CheckpointDir;

use super::open_windows::OpenWindows;
use super::stored;
use crate::config::{AggregateSpec, Compression, StageSpec};
use crate::plan::{AggregatePlan, describe_aggregate};
use crate::stages::empty_table;

/// An aggregate of a checkpoint as it was opened when the checkpoint was written.
///
/// # Errors
/// The checkpoint does not say it, or the plugin is not kept or does not load.
pub fn held_plan(
    of: &AggregateProgress,
    outputs: &[OutputRoot],
    runtime: &Runtime,
    kept: &CheckpointDir<impl FileLayer>,
) -> anyhow::Result<AggregatePlan> {
    let opened = of.opened_with.as_ref().with_context(|| {
        format!(
            "the checkpoint does not say how aggregate {} was opened, since an earlier version wrote it; let this version \
             run the job once",
            of.name
        )
    })?;
    let used = of.plugins.last().with_context(|| format!("the checkpoint names no plugin of {}", of.name))?;
    let component = kept.kept_component(used.digest)?.with_context(|| {
        format!("the plugin {} (sha256:{}) of aggregate {} is not kept", used.name, used.digest, of.name)
    })?;
    let plugin = runtime.load_signed(&used.name, &component, None)?;
    let output = OutputId::Aggregate(of.name.clone());
    let root = outputs.iter().find(|root| root.output == output).map(|root| PathBuf::from(&root.path));
    let spec = AggregateSpec {
        name: of.name.clone(),
        stage: StageSpec { plugin: PathBuf::from(&used.name), config: serde_json::from_str(&opened.config)? },
        key: of.key.clone(),
        keep_key_column: of.keep_key_column,
        window_ms: of.window_ms.unsigned_abs(),
        watermark_ms: of.delay_ms.unsigned_abs(),
        output: root.unwrap_or_default(),
        compression: Compression::Snappy,
        hold: None,
        topics: Vec::new(),
        console: None,
    };
    describe_aggregate(&|_, _| Ok(plugin.clone()), &spec, &Arc::new(opened.schema()?))
}

/// The columns of an aggregate's windows: its key, `window_start`, `window_end`, and what the plugin
/// gives; and those of them that its files hold.
///
/// # Errors
/// The plugin does not open.
pub fn held_schema(plan: &AggregatePlan) -> anyhow::Result<(SchemaRef, SchemaRef)> {
    let open = OpenWindows::open(plan)?;
    Ok((open.windows_schema(), open.output_schema()))
}

/// Open windows, and what was added to them that no commit has yet.
#[derive(Debug)]
pub struct Held {
    open: OpenWindows,
    context: Context,
    added: Vec<GroupTable>,
}

/// An aggregate's open windows as of a checkpoint.
///
/// # Errors
/// Their states are damaged.
pub fn held(plan: &AggregatePlan, checkpoint: &Checkpoint) -> anyhow::Result<Held> {
    let mut open = OpenWindows::open(plan)?;
    stored::restore(&mut open, checkpoint)?;
    let progress = &checkpoint.manifest.progress;
    let own = progress.aggregates.iter().find(|of| of.name == plan.spec.name);
    let context = Context {
        epoch: checkpoint.manifest.epoch.0,
        closed_through_ms: own.and_then(|of| of.closed_through_ms),
        epoch_began_ms: progress.epoch_began_ms,
    };
    Ok(Held { open, context, added: Vec::new() })
}

impl Held {
    /// Adds what a worker has folded since the checkpoint.
    ///
    /// # Errors
    /// It is damaged, or the plugin does not merge it.
    pub fn add(&mut self, plan: &AggregatePlan, copied: &StoredGroups) -> anyhow::Result<()> {
        let keys = KeyEncoder::new(&plan.input, &plan.spec.key)?;
        let mut table = empty_table(plan)?;
        table.import(&keys, copied)?;
        self.open.absorb(&self.context, &table)?;
        self.added.push(table);
        Ok(())
    }

    /// What each open window holds so far.
    ///
    /// # Errors
    /// The plugin fails.
    pub fn rows(&mut self) -> anyhow::Result<RecordBatch> {
        let so_far = self.open.so_far(&self.context)?;
        Ok(so_far.map_or_else(|| RecordBatch::new_empty(self.open.windows_schema()), |so_far| so_far.rows))
    }

    /// Of each of these rows, whether something was added to it.
    pub fn marks(&self) -> BooleanArray {
        let windows = self.open.groups().groups();
        let of_window = |window: &WindowGroups| {
            let is_in =
                |key: &KeyBytes| self.added.iter().any(|of| of.slot_of(window.start_us, key).is_some());
            window.keys.iter().map(|key| Some(is_in(key))).collect::<Vec<_>>()
        };
        windows.iter().flat_map(of_window).collect()
    }
}
