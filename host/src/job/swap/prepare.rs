//! Everything about a swap that is done beside the stream, and every reason to refuse it
//! before anything has changed.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use speed_layer_core::clock::ClockBounds;
use speed_layer_core::swap::{column_changes, unbearable_for_readers};
use speed_layer_plugin::{Plugin, PluginId};

use super::asked::{Shadowing, Windows};
use super::output::moved_aggregate;
use super::refusal::{self, Obstacles};
use super::windows::check_reset;

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
    /// What becomes of open windows.
    pub windows: Windows,
    /// Where the aggregate's windows go from now on.
    pub output: Option<PathBuf>,
    /// How it was asked for, to be repeated with another flag.
    pub command: String,
    /// Runs it beside the stream first.
    pub shadow: Option<Shadowing>,
    /// The component's, where it has one.
    pub signature: Option<Vec<u8>>,
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
    /// The new plugin makes the open windows anew, from the topic.
    Rebuild,
    /// The new plugin begins with the next window.
    Reset,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AggregateChange {
    pub aggregate: String,
    pub change: Change,
    pub state_version: [u32; 2],
    pub state: Vec<String>,
    pub output: Vec<String>,
    /// Where its windows go from now on, if that changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<PathBuf>,
}

/// A swap that may be made, with everything opened that it takes.
pub struct Opened {
    pub plan: Arc<Plan>,
    pub chains: Vec<Option<Box<Chain>>>,
    pub aggregates: Vec<OpenWindows>,
    /// One an aggregate.
    pub windows: Vec<Windows>,
    /// By the number of its aggregate.
    pub output: Option<(usize, PathBuf)>,
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
    let moved = request.output.as_ref().map(|_| moved_aggregate(stage, &plan.aggregates)).transpose()?;
    let pairs = running.aggregates.iter().zip(&plan.aggregates).zip(&mut aggregates).enumerate();
    let compare = |(index, ((was, now), open))| {
        let request =
            Request { output: request.output.clone().filter(|_| moved == Some(index)), ..request.clone() };
        compare(was, now, open, &request)
    };
    let compared: Vec<_> = pairs.map(compare).collect();
    let (changes, obstacles): (Vec<_>, Vec<_>) = compared.into_iter().unzip();
    let windows: Vec<Windows> = obstacles.iter().map(|(_, windows)| *windows).collect();
    let what = format!("{} cannot take the place of {} as {stage}", plugin.id(), old.id());
    refusal::check(&what, request, &obstacles)?;
    check_reset(request.windows, &windows)?;
    moved.map_or(Ok(()), |index| check_moved(&obstacles[index], &running.aggregates[index]))?;
    let output = moved.zip(request.output.clone());
    let chains = (0..workers).map(|_| open_chain(&plan, bounds, &windows)).collect::<anyhow::Result<_>>()?;
    let swap = SwapPlan {
        stage: stage.to_string(),
        from: old.id().into(),
        to: plugin.id().into(),
        change: changes.iter().map(|of| of.change).max().unwrap_or(Change::Live),
        aggregates: changes
            .into_iter()
            .filter(|of| of.change != Change::Live || !of.output.is_empty() || of.moved_to.is_some())
            .collect(),
    };
    Ok(Opened { plan, chains, aggregates, windows, output, swap })
}

/// An output is moved for a reason.
fn check_moved((obstacles, windows): &(Obstacles, Windows), was: &AggregatePlan) -> anyhow::Result<()> {
    ensure!(
        *windows != Windows::TakeOver || !obstacles.output.is_empty(),
        "--output: the windows of aggregate {} go on, and their columns can be read together with those that are \
         written; leave it out, or change the output in the settings",
        was.spec.name
    );
    Ok(())
}

fn open_chain(
    plan: &Arc<Plan>,
    bounds: ClockBounds,
    windows: &[Windows],
) -> anyhow::Result<Option<Box<Chain>>> {
    let mut chain = Chain::open(plan, bounds)?;
    chain.rehearse(windows.iter().map(|windows| *windows == Windows::Reset));
    Ok(Some(Box::new(chain)))
}

/// What the swap means for one aggregate, be it its own or one before it, and what stands
/// against it.
fn compare(
    was: &AggregatePlan,
    now: &AggregatePlan,
    open: &mut OpenWindows,
    request: &Request,
) -> (AggregateChange, (Obstacles, Windows)) {
    let name = &was.spec.name;
    let (old_output, new_output) = (&was.description.output, &now.description.output);
    let (before, after) = (&was.description.state, &now.description.state);
    let state = column_changes(&before.schema, &after.schema);
    let is_same = before.version == after.version && state.is_empty();
    let mut in_the_way = key_changes(was, now);
    if !is_same {
        in_the_way.extend(refused_migration(was, now, open, request));
    }
    let windows = request.windows.of(&request.stage, name, in_the_way.is_empty());
    let change = AggregateChange {
        aggregate: name.clone(),
        change: match windows {
            Windows::Reset => Change::Reset,
            Windows::Rebuild => Change::Rebuild,
            Windows::TakeOver if is_same => Change::Live,
            Windows::TakeOver => Change::Migrate,
        },
        state_version: [before.version, after.version],
        state: state.iter().map(ToString::to_string).collect(),
        output: column_changes(old_output, new_output).iter().map(ToString::to_string).collect(),
        moved_to: request.output.clone(),
    };
    let output = unbearable_for_readers(old_output, new_output);
    (
        change,
        (
            Obstacles {
                aggregate: name.clone(),
                windows: in_the_way,
                output,
                is_moved: request.output.is_some(),
            },
            windows,
        ),
    )
}

/// Key columns of other types: under those the open windows would not be found again.
fn key_changes(was: &AggregatePlan, now: &AggregatePlan) -> Vec<String> {
    let pairs = was.key_columns.iter().zip(&now.key_columns);
    let fields = pairs.map(|(&before, &after)| (was.input.field(before), now.input.field(after)));
    let changed = fields.filter(|(before, after)| before.data_type() != after.data_type());
    let line = |(before, after): (&arrow_schema::Field, &arrow_schema::Field)| {
        format!(
            "the key column `{}` of aggregate {} would be {} in place of {}",
            before.name(),
            was.spec.name,
            after.data_type(),
            before.data_type()
        )
    };
    changed.map(line).collect()
}

/// Why the new plugin does not take over the states, if it does not.
fn refused_migration(
    was: &AggregatePlan,
    now: &AggregatePlan,
    open: &mut OpenWindows,
    request: &Request,
) -> Vec<String> {
    let (before, after) = (&was.description.state, &now.description.state);
    let (name, id) = (&was.spec.name, now.plugin.id());
    let why = if after.version < before.version && !request.allow_downgrade {
        "its version is older, so it is not asked to; --allow-downgrade has it asked all the same".to_owned()
    } else {
        match open.ask_to_migrate(before.version, &before.schema) {
            Ok(()) => return Vec::new(),
            Err(why) => why.to_string(),
        }
    };
    let head = format!(
        "the state of the open windows of aggregate {name} is version {}, that of {id} version {}:",
        before.version, after.version
    );
    let changes = column_changes(&before.schema, &after.schema);
    let columns = changes.iter().map(|change| format!("  {change}"));
    [head]
        .into_iter()
        .chain(columns)
        .chain([format!("  it does not migrate the one into the other: {why}")])
        .collect()
}
