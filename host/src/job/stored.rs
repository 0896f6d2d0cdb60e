//! A checkpoint's settings against the present ones, and its open windows taken up.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use speed_layer_core::commit::{AggregateProgress, Digest, OffsetMark, PluginUse, StageUse};
use speed_layer_core::settings::{
    AggregateSettings, Difference, JobSettings, PluginSettings, compare, refusals,
};
use speed_layer_core::time::{Duration, WindowSpec};
use speed_layer_plugin::Plugin;
use speed_layer_store::Checkpoint;
use speed_layer_store::part::digest_of_bytes;
use tracing::info;

use super::open_windows::OpenWindows;
use crate::config::JobSpec;
use crate::plan::{AggregatePlan, Plan};
use crate::stages::AggregateClock;

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
    let refused: Vec<String> = refusals(&differences).map(ToString::to_string).collect();
    if !refused.is_empty() {
        bail!("the checkpoint of job {} does not fit: {}", spec.name, refused.join("; "));
    }
    for difference in &differences {
        match difference {
            Difference::Allowed { what, stored, present } => {
                info!("{what} was {stored} and is {present} now")
            }
            Difference::NewAggregate { name, .. } => {
                info!("aggregate {name} is new and begins at the present offsets")
            }
            Difference::Refused(_) => {}
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
        withheld_until_ms: known.and_then(|of| of.withheld_until_ms).or(new.map(|us| us.div_euclid(1000))),
    }
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
    stored.map_or(Ok(()), |(_, stored)| open.restore(stored))
}

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
    if !before.last().is_some_and(is_same) {
        before.push(present);
    }
    before
}

/// The histories of the parse and transform stages.
pub fn stage_histories(plan: &Plan, checkpoint: Option<&Checkpoint>, from: &[OffsetMark]) -> Vec<StageUse> {
    let mut before: BTreeMap<&str, &StageUse> = BTreeMap::new();
    if let Some(checkpoint) = checkpoint {
        before.extend(checkpoint.manifest.progress.stages.iter().map(|stage| (stage.stage.as_str(), stage)));
    }
    let parse = std::iter::once(("parse".to_owned(), &plan.parse.plugin, plan.parse.config.as_str()));
    let transforms = plan.transforms.iter().enumerate();
    let transforms = transforms.map(|(i, of)| (format!("transform:{i}"), &of.plugin, of.config.as_str()));
    parse
        .chain(transforms)
        .map(|(stage, plugin, config)| {
            let known = before.get(stage.as_str()).map(|stage| stage.plugins.clone()).unwrap_or_default();
            StageUse { plugins: history(known, plugin, config, from), stage }
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
