//! Everything about a swap that is done beside the stream, and every reason to refuse it
//! before anything has changed.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use speed_layer_core::clock::ClockBounds;
use speed_layer_core::swap::{column_changes, list, unbearable_for_readers};
use speed_layer_plugin::{Plugin, PluginId};

use crate::config::JobSpec;
use crate::job::open_windows::OpenWindows;
use crate::plan::{AggregatePlan, Plan, StageName};
use crate::stages::Chain;

/// What is asked of a running job.
#[derive(Debug, Clone)]
pub struct Request {
    pub stage: StageName,
    /// Takes a plugin of an older state version than the one that runs.
    pub allow_downgrade: bool,
}

/// What a swap changes, for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwapPlan {
    pub stage: String,
    pub from: Named,
    pub to: Named,
    pub change: Change,
    /// Of each aggregate whose states or output are of another form.
    pub aggregates: Vec<AggregateChange>,
}

/// A plugin as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
    /// SHA-256 of its component.
    pub digest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The open windows go on as they are.
    Live,
    /// The new plugin brings the open windows' states into its own form.
    Migrate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AggregateChange {
    pub aggregate: String,
    pub change: Change,
    pub state_version: [u32; 2],
    pub state: Vec<String>,
    pub output: Vec<String>,
}

/// A swap that may be made, with everything opened that it takes.
pub struct Opened {
    pub plan: Arc<Plan>,
    pub chains: Vec<Option<Box<Chain>>>,
    pub aggregates: Vec<OpenWindows>,
    pub swap: SwapPlan,
}

impl From<&PluginId> for Named {
    fn from(id: &PluginId) -> Self {
        Self { name: id.name.clone(), digest: id.digest.hex() }
    }
}

/// Checks a swap and opens what it takes, for `workers` workers.
///
/// # Errors
/// Why it is refused, with the plugin and its digest.
pub fn prepare(
    spec: &JobSpec,
    running: &Plan,
    plugin: &Plugin,
    request: &Request,
    workers: usize,
    bounds: ClockBounds,
) -> anyhow::Result<Opened> {
    let stage = &request.stage;
    let (old, _) = running.plugin(stage).with_context(|| {
        let stages = running.stages().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("the job has no stage {stage}; it has {stages}")
    })?;
    ensure!(old.id().digest != plugin.id().digest, "{} runs as {stage} already", plugin.id());
    let plan = Plan::make(spec, &|name, _| {
        let unchanged = || running.plugin(name).map(|(plugin, _)| plugin.clone());
        let of_it = if name == stage { Some(plugin.clone()) } else { unchanged() };
        of_it.with_context(|| format!("the running job has no stage {name}"))
    })?;
    let plan = Arc::new(plan);
    let mut aggregates = plan.aggregates.iter().map(OpenWindows::open).collect::<anyhow::Result<Vec<_>>>()?;
    let pairs = running.aggregates.iter().zip(&plan.aggregates).zip(&mut aggregates);
    let changes = pairs
        .map(|((was, now), open)| compare(was, now, open, request))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let chain = |_| Ok(Some(Box::new(Chain::open(&plan, bounds)?)));
    let chains = (0..workers).map(chain).collect::<anyhow::Result<_>>()?;
    let swap = SwapPlan {
        stage: stage.to_string(),
        from: old.id().into(),
        to: plugin.id().into(),
        change: changes.iter().map(|of| of.change).max().unwrap_or(Change::Live),
        aggregates: changes
            .into_iter()
            .filter(|of| of.change != Change::Live || !of.output.is_empty())
            .collect(),
    };
    Ok(Opened { plan, chains, aggregates, swap })
}

/// What the swap means for one aggregate, be it its own or one before it.
fn compare(
    was: &AggregatePlan,
    now: &AggregatePlan,
    open: &mut OpenWindows,
    request: &Request,
) -> anyhow::Result<AggregateChange> {
    let name = &was.spec.name;
    for (&before, &after) in was.key_columns.iter().zip(&now.key_columns) {
        let (before, after) = (was.input.field(before), now.input.field(after));
        ensure!(
            before.data_type() == after.data_type(),
            "the key column `{}` of aggregate {name} would be {} in place of {}, so the open windows would not be \
             found again",
            before.name(),
            after.data_type(),
            before.data_type()
        );
    }
    let (old_output, new_output) = (&was.description.output, &now.description.output);
    let unbearable = unbearable_for_readers(old_output, new_output);
    ensure!(
        unbearable.is_empty(),
        "the output of aggregate {name} would change so that files of both forms cannot be read together ({}); only \
         nullable columns at the end may be new: use another output for it",
        list(&unbearable)
    );
    let (before, after) = (&was.description.state, &now.description.state);
    let state = column_changes(&before.schema, &after.schema);
    let is_same = before.version == after.version && state.is_empty();
    if !is_same {
        check_migration(was, now, open, request)?;
    }
    Ok(AggregateChange {
        aggregate: name.clone(),
        change: if is_same { Change::Live } else { Change::Migrate },
        state_version: [before.version, after.version],
        state: state.iter().map(ToString::to_string).collect(),
        output: column_changes(old_output, new_output).iter().map(ToString::to_string).collect(),
    })
}

fn check_migration(
    was: &AggregatePlan,
    now: &AggregatePlan,
    open: &mut OpenWindows,
    request: &Request,
) -> anyhow::Result<()> {
    let (before, after) = (&was.description.state, &now.description.state);
    let (name, id) = (&was.spec.name, now.plugin.id());
    if after.version < before.version && !request.allow_downgrade {
        bail!(
            "{id} has state version {}, older than version {} of the open windows of aggregate {name}; \
             --allow-downgrade asks it all the same",
            after.version,
            before.version
        );
    }
    open.ask_to_migrate(before.version, &before.schema).with_context(|| {
        let changes = list(&column_changes(&before.schema, &after.schema));
        let changes = if changes.is_empty() { "the same columns".to_owned() } else { changes };
        format!(
            "{id} cannot go on with the open windows of aggregate {name}: their state is version {}, its own version \
             {} ({changes})",
            before.version, after.version
        )
    })
}
