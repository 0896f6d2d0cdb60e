//! A checkpoint's settings against the present ones, and its open windows taken up.

use anyhow::{Context, bail};
use speed_layer_core::commit::{AggregateProgress, Digest, HeldWindows, OffsetMark, PluginUse, StageUse};
use speed_layer_core::settings::{
    AggregateSettings, Difference, JobSettings, PluginSettings, compare, refusals,
};
use speed_layer_core::time::{Duration, WindowSpec};
use speed_layer_plugin::{Plugin, Runtime};
use speed_layer_store::Checkpoint;
use speed_layer_store::layer::FileLayer;
use speed_layer_store::part::digest_of_bytes;
use speed_layer_store::posix::CheckpointDir;
use tracing::{info, warn};

use super::aggregates;
use super::commit::{Holding, given_up};
use super::open_windows::OpenWindows;
use crate::config::{JobSpec, StageSpec};
use crate::plan::{AggregatePlan, Plan, StageName};
use crate::stages::AggregateClock;

/// The stages of a job with the plugins that its checkpoint names, whatever has become of
/// their files since: other plugins come in by a swap.
///
/// # Errors
/// As [`Plan::make`]; and a component that is kept, and damaged.
pub fn plan(
    spec: &JobSpec,
    runtime: &Runtime,
    kept: &CheckpointDir<impl FileLayer>,
    checkpoint: Option<&Checkpoint>,
) -> anyhow::Result<Plan> {
    Plan::make(spec, &|name, stage| plugin(name, stage, runtime, kept, checkpoint))
}

/// The plugin that a job runs as a stage.
///
/// # Errors
/// It does not load, or is kept and damaged.
pub fn plugin(
    name: &StageName,
    stage: &StageSpec,
    runtime: &Runtime,
    kept: &CheckpointDir<impl FileLayer>,
    checkpoint: Option<&Checkpoint>,
) -> anyhow::Result<Plugin> {
    let file = runtime.load(&stage.plugin);
    let Some(used) = checkpoint.and_then(|checkpoint| last_use(checkpoint, name)) else {
        return Ok(file?);
    };
    let is_same = |plugin: &Plugin| plugin.id().digest.as_bytes() == &used.digest.0;
    if file.as_ref().is_ok_and(is_same) {
        return Ok(file?);
    }
    let Some(component) = kept.kept_component(used.digest)? else { return Ok(file?) };
    let signature = kept.kept_signature(used.digest)?;
    let plugin = runtime.load_signed(&used.name, &component, signature.as_deref())?;
    warn!(
        "{name} goes on with {}, which the checkpoint names; {} is another one now: `host swap --stage {name}` \
         brings it into the running job",
        plugin.id(),
        stage.plugin.display()
    );
    Ok(plugin)
}

/// The plugin that serves a stage at the end of a checkpoint.
fn last_use<'a>(checkpoint: &'a Checkpoint, stage: &StageName) -> Option<&'a PluginUse> {
    let progress = &checkpoint.manifest.progress;
    match stage {
        StageName::Aggregate(name) => find(checkpoint, name)?.plugins.last(),
        stage => progress.stages.iter().find(|of| of.stage == stage.to_string())?.plugins.last(),
    }
}

/// How many plugins of a stage are kept that have served it before.
const KEPT_BEFORE: usize = 16;

/// Keeps the components that the job begins with, and lets those go that nobody goes back
/// to any more.
///
/// # Errors
/// The disk failed.
pub fn keep_plugins(
    plan: &Plan,
    kept: &CheckpointDir<impl FileLayer>,
    checkpoint: Option<&Checkpoint>,
) -> anyhow::Result<()> {
    let mut needed: Vec<Digest> = Vec::new();
    for stage in plan.stages() {
        if let Some((plugin, _)) = plan.plugin(&stage) {
            let digest = Digest(*plugin.id().digest.as_bytes());
            kept.keep_component(plugin.component())?;
            plugin.signature().map_or(Ok(()), |signature| kept.keep_signature(digest, signature))?;
            needed.push(digest);
        }
    }
    let progress = checkpoint.map(|checkpoint| &checkpoint.manifest.progress);
    let stages = progress.into_iter().flat_map(|of| of.stages.iter().map(|stage| &stage.plugins));
    let aggregates = progress.into_iter().flat_map(|of| of.aggregates.iter().map(|one| &one.plugins));
    let before = stages.chain(aggregates).flat_map(|uses| uses.iter().rev().take(KEPT_BEFORE));
    needed.extend(before.map(|used| used.digest));
    Ok(kept.forget_components(&needed)?)
}

/// Refuses a checkpoint that this job cannot go on from; says what has changed.
///
/// # Errors
/// Every refused difference, each a sentence.
pub fn check(spec: &JobSpec, plan: &Plan, checkpoint: &Checkpoint) -> anyhow::Result<Vec<Difference>> {
    let present = present(spec, plan)?;
    let stored = stored(spec, checkpoint, &present)?;
    let partitions = &checkpoint.manifest.progress.partitions;
    let greatest_event_ms = partitions.iter().filter_map(|partition| partition.clock.max_event_ms).max();
    let differences = compare(&stored, &present, greatest_event_ms);
    let removed = |difference: &Difference| match difference {
        Difference::RemovedAggregate { name } => Some(aggregates::refusal(name, checkpoint)),
        _ => None,
    };
    let refused = refusals(&differences).map(ToString::to_string);
    let refused: Vec<String> = refused.chain(differences.iter().filter_map(removed)).collect();
    if !refused.is_empty() {
        bail!("the checkpoint of job {} does not fit: {}", spec.name, refused.join("; "));
    }
    for difference in &differences {
        match difference {
            Difference::Allowed { what, stored, present } => {
                info!("{what} was {stored} and is {present} now")
            }
            Difference::NewAggregate { name, .. } if !spec.changes.backfill.contains(name) => {
                info!("aggregate {name} is new and begins with the first window that it sees whole")
            }
            Difference::NewAggregate { .. }
            | Difference::Refused(_)
            | Difference::RemovedAggregate { .. } => {}
        }
    }
    Ok(differences)
}

fn present(spec: &JobSpec, plan: &Plan) -> anyhow::Result<JobSettings> {
    let aggregates = plan
        .aggregates
        .iter()
        .map(|of| {
            Ok(AggregateSettings {
                name: of.spec.name.clone(),
                key: of.spec.key.clone(),
                window: WindowSpec::new(Duration::from_ms(of.spec.window_ms)?)?,
                delay: Duration::from_ms(of.spec.watermark_ms)?,
                keep_key_column: of.spec.keep_key_column,
                plugin: PluginSettings {
                    digest: of.plugin.id().digest.hex(),
                    config_hash: digest_of_bytes(of.config.as_bytes()).to_string(),
                    contract: of.plugin.contract().to_owned(),
                    state_version: of.description.state.version,
                    state_columns: columns_line(&of.description.state.schema),
                },
            })
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(JobSettings { job: spec.name.clone(), topic: spec.source.topic.clone(), aggregates })
}

fn stored(spec: &JobSpec, checkpoint: &Checkpoint, present: &JobSettings) -> anyhow::Result<JobSettings> {
    let manifest = &checkpoint.manifest;
    let topic = manifest.progress.partitions.first().map_or(&spec.source.topic, |partition| &partition.topic);
    let aggregates = manifest
        .progress
        .aggregates
        .iter()
        .map(|of| {
            let now = present.aggregates.iter().find(|aggregate| aggregate.name == of.name);
            stored_aggregate(of, checkpoint, now)
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(JobSettings { job: manifest.job.to_string(), topic: topic.clone(), aggregates })
}

/// What the checkpoint does not hold (the contract's version, and the state's columns where
/// no window was open) counts as it is now.
fn stored_aggregate(
    of: &AggregateProgress,
    checkpoint: &Checkpoint,
    now: Option<&AggregateSettings>,
) -> anyhow::Result<AggregateSettings> {
    let stored = checkpoint.states.iter().find(|(name, _)| *name == of.name);
    let columns = stored.and_then(|(_, stored)| stored.groups.as_ref()).map(|batch| {
        let state_columns: Vec<usize> = (2..batch.num_columns()).collect();
        batch.schema().project(&state_columns).map(|schema| columns_line(&schema))
    });
    let plugin = of
        .plugins
        .last()
        .with_context(|| format!("the checkpoint names no plugin of aggregate {}", of.name))?;
    Ok(AggregateSettings {
        name: of.name.clone(),
        key: of.key.clone(),
        window: WindowSpec::new(Duration::from_ms(of.window_ms.unsigned_abs())?)?,
        delay: Duration::from_ms(of.delay_ms.unsigned_abs())?,
        keep_key_column: of.keep_key_column,
        plugin: PluginSettings {
            digest: plugin.digest.to_string(),
            config_hash: plugin.config.to_string(),
            contract: now.map(|now| now.plugin.contract.clone()).unwrap_or_default(),
            state_version: of.state_version,
            state_columns: match columns {
                Some(columns) => columns?,
                None => now.map(|now| now.plugin.state_columns.clone()).unwrap_or_default(),
            },
        },
    })
}

fn columns_line(schema: &arrow_schema::Schema) -> String {
    let column = |field: &arrow_schema::FieldRef| {
        let nullable = if field.is_nullable() { " nullable" } else { "" };
        format!("{} {}{nullable}", field.name(), field.data_type())
    };
    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}

/// The clock that an aggregate begins with.
pub fn clock_of(name: &str, checkpoint: Option<&Checkpoint>, differences: &[Difference]) -> AggregateClock {
    let known = checkpoint.and_then(|checkpoint| find(checkpoint, name));
    let new = differences.iter().find_map(|difference| match difference {
        Difference::NewAggregate { name: new, withheld_until_us } if new == name => *withheld_until_us,
        _ => None,
    });
    AggregateClock {
        closed_through_ms: known.and_then(|of| of.closed_through_ms),
        released_through_ms: known.and_then(AggregateProgress::released_through_ms),
        idle_trigger_ms: known.and_then(|of| of.idle_trigger_ms),
        withheld_until_ms: known.and_then(|of| of.withheld_until_ms).or(new.map(|us| us.div_euclid(1000))),
    }
}

/// What a checkpoint holds back of an aggregate.
pub fn holding(name: &str, checkpoint: Option<&Checkpoint>) -> Holding {
    let known = checkpoint.and_then(|checkpoint| find(checkpoint, name));
    let none = || HeldWindows::none(known.and_then(|of| of.closed_through_ms));
    Holding::of(known.and_then(|of| of.held.clone()).unwrap_or_else(none))
}

fn find<'a>(checkpoint: &'a Checkpoint, name: &str) -> Option<&'a AggregateProgress> {
    checkpoint.manifest.progress.aggregates.iter().find(|of| of.name == name)
}

/// Puts a checkpoint's open windows into `open`.
///
/// # Errors
/// When they are not this aggregate's.
pub fn restore(open: &mut OpenWindows, checkpoint: &Checkpoint) -> anyhow::Result<()> {
    let stored = checkpoint.states.iter().find(|(name, _)| *name == open.name);
    stored.map_or(Ok(()), |(_, stored)| open.restore(stored))?;
    let known = find(checkpoint, &open.name);
    open.give_up_again(known.into_iter().flat_map(|of| given_up(&of.given_up)))
}

/// Uses of plugins that a checkpoint remembers of a stage: each commit writes them down.
pub const USES_MAX: usize = 64;

/// The plugins that have served an aggregate or stage, with the present one at the end.
pub fn history(
    mut before: Vec<PluginUse>,
    plugin: &Plugin,
    config: &str,
    from: &[OffsetMark],
) -> Vec<PluginUse> {
    let present = PluginUse {
        name: plugin.id().name.clone(),
        digest: Digest(*plugin.id().digest.as_bytes()),
        config: digest_of_bytes(config.as_bytes()),
        from: from.to_vec(),
    };
    let is_same = |last: &PluginUse| last.digest == present.digest && last.config == present.config;
    // The same again, from further back: windows that others began were made anew by it.
    let reaches_back = |last: &PluginUse| {
        let is_before = |mark: &OffsetMark, known: &OffsetMark| {
            (&mark.topic, mark.partition) == (&known.topic, known.partition) && mark.offset < known.offset
        };
        from.iter().any(|mark| last.from.iter().any(|known| is_before(mark, known)))
    };
    if !before.last().is_some_and(|last| is_same(last) && !reaches_back(last)) {
        before.push(present);
    }
    before.split_off(before.len().saturating_sub(USES_MAX))
}

/// The histories of the parse and transform stages, as a job begins with them.
pub fn stage_histories(plan: &Plan, checkpoint: Option<&Checkpoint>, from: &[OffsetMark]) -> Vec<StageUse> {
    let known = checkpoint.map(|checkpoint| checkpoint.manifest.progress.stages.as_slice());
    next_histories(plan, known.unwrap_or_default(), from)
}

/// The histories of the parse and transform stages, with those of `plan` at the end.
pub fn next_histories(plan: &Plan, known: &[StageUse], from: &[OffsetMark]) -> Vec<StageUse> {
    let parse = std::iter::once(("parse".to_owned(), &plan.parse.plugin, plan.parse.config.as_str()));
    let transforms = plan.transforms.iter().enumerate();
    let transforms = transforms.map(|(i, of)| (format!("transform:{i}"), &of.plugin, of.config.as_str()));
    parse
        .chain(transforms)
        .map(|(stage, plugin, config)| {
            let before = known.iter().find(|of| of.stage == stage).map(|of| of.plugins.clone());
            StageUse { plugins: history(before.unwrap_or_default(), plugin, config, from), stage }
        })
        .collect()
}

/// The history of an aggregate's plugins.
pub fn aggregate_history(
    plan: &AggregatePlan,
    checkpoint: Option<&Checkpoint>,
    from: &[OffsetMark],
) -> Vec<PluginUse> {
    let known = checkpoint.and_then(|checkpoint| find(checkpoint, &plan.spec.name));
    let before = known.map(|of| of.plugins.clone()).unwrap_or_default();
    history(before, &plan.plugin, &plan.config, from)
}
