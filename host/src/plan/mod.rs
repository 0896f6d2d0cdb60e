//! From a job's configuration to stages that fit together: every plugin loaded and
//! described, schemas computed forward along the chain, wanted columns backward.
//!
//! Everything that can be wrong with plugins, settings and columns is found here,
//! before a broker is asked or a file is written. Opens no instance that handles rows.

mod columns;
mod console;
mod resolve;
mod stage_name;
mod topics;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use speed_layer_core::path::hashed_component;
use speed_layer_plugin::{AggregateDescription, Plugin, RawFields, TransformDescription};

use crate::config::{AggregateSpec, JobSpec, StageSpec};
pub use console::ConsoleColumns;
pub use stage_name::StageName;

/// Hexadecimal digits of a hash in a path.
const DIGEST_DIGITS: usize = 64;

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.stages()).finish()
    }
}

/// The stages of a job. Level 0 is the parser's output; level i + 1 that of
/// transform i. A column is named by its number in its level's whole schema.
pub struct Plan {
    pub parse: ParsePlan,
    pub transforms: Vec<TransformPlan>,
    pub aggregates: Vec<AggregatePlan>,
    pub event_time: EventTimeColumn,
    /// What of the last level is printed now and then.
    pub console: Option<ConsoleColumns>,
}

pub struct ParsePlan {
    pub plugin: Plugin,
    pub config: String,
    pub reads: RawFields,
    /// Level 0.
    pub schema: SchemaRef,
    pub wanted: Vec<u32>,
}

pub struct TransformPlan {
    pub plugin: Plugin,
    pub config: String,
    /// The level before it.
    pub input: SchemaRef,
    pub description: TransformDescription,
    /// Entries of the description's needs that each call brings.
    pub given: Vec<u32>,
    /// Computed output columns that anybody reads.
    pub wanted_computed: Vec<u32>,
    /// Passed-on output columns that anybody reads, with their input columns.
    pub passed_on: Vec<(usize, usize)>,
    /// The level after it.
    pub schema: SchemaRef,
}

pub struct AggregatePlan {
    pub spec: AggregateSpec,
    pub plugin: Plugin,
    pub config: String,
    /// The last level.
    pub input: SchemaRef,
    pub description: AggregateDescription,
    /// The key columns' numbers in the last level.
    pub key_columns: Vec<usize>,
}

/// Where the event time is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTimeColumn {
    pub level: usize,
    pub column: usize,
    pub unit: EventTimeUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTimeUnit {
    Milliseconds,
    Microseconds,
}

impl Plan {
    /// Describes every stage of `job` over the plugins that `load` gives.
    ///
    /// # Errors
    /// One paragraph that names the plugin, column or setting and what to do; and those
    /// of `load`.
    pub fn make(job: &JobSpec, load: &Load<'_>) -> anyhow::Result<Self> {
        let mut parse = describe_parse(load, &job.parse)?;
        let mut transforms = describe_transforms(load, &job.transforms, &parse.schema)?;
        let levels = levels(&parse, &transforms);
        let event_time = event_time_column(&levels, &job.clock.event_time)?;
        refuse_early_event_time(&transforms, event_time)?;
        let last = &levels[levels.len() - 1];
        let aggregates = job
            .aggregates
            .iter()
            .map(|spec| describe_aggregate(load, spec, last))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let console = job.console.as_ref().map(|of| ConsoleColumns::of(of, last)).transpose()?;
        let shown = console.iter().flat_map(|of| of.columns.iter().copied());
        let wanted = resolve::wanted_columns(&mut transforms, &aggregates, event_time, shown)?;
        parse.wanted = numbers(&wanted);
        Ok(Self { parse, transforms, aggregates, event_time, console })
    }

    /// The plugin of a stage, and its configuration.
    pub fn plugin(&self, stage: &StageName) -> Option<(&Plugin, &str)> {
        match stage {
            StageName::Parse => Some((&self.parse.plugin, self.parse.config.as_str())),
            StageName::Transform(index) => {
                let of = self.transforms.get(*index)?;
                Some((&of.plugin, of.config.as_str()))
            }
            StageName::Aggregate(name) => {
                let of = self.aggregates.iter().find(|of| of.spec.name == *name)?;
                Some((&of.plugin, of.config.as_str()))
            }
        }
    }

    /// Every stage, in the order that a record takes.
    pub fn stages(&self) -> Vec<StageName> {
        let transforms = (0..self.transforms.len()).map(StageName::Transform);
        let aggregates = self.aggregates.iter().map(|of| StageName::Aggregate(of.spec.name.clone()));
        std::iter::once(StageName::Parse).chain(transforms).chain(aggregates).collect()
    }
}

fn numbers(columns: &BTreeSet<usize>) -> Vec<u32> {
    columns.iter().map(|&column| column as u32).collect()
}

fn levels(parse: &ParsePlan, transforms: &[TransformPlan]) -> Vec<SchemaRef> {
    std::iter::once(&parse.schema)
        .chain(transforms.iter().map(|transform| &transform.schema))
        .cloned()
        .collect()
}

/// Gives the plugin of a stage.
pub type Load<'a> = dyn Fn(&StageName, &StageSpec) -> anyhow::Result<Plugin> + 'a;

fn loaded(load: &Load<'_>, name: &StageName, stage: &StageSpec) -> anyhow::Result<(Plugin, String)> {
    let plugin = load(name, stage)?;
    plugin.require_stage(name.stage())?;
    Ok((plugin, stage.config_json()))
}

fn describe_parse(load: &Load<'_>, stage: &StageSpec) -> anyhow::Result<ParsePlan> {
    let (plugin, config) = loaded(load, &StageName::Parse, stage)?;
    let description = plugin.describe_parse(&config)?;
    Ok(ParsePlan { plugin, config, reads: description.reads, schema: description.output, wanted: Vec::new() })
}

fn describe_transforms(
    load: &Load<'_>,
    stages: &[StageSpec],
    parsed: &SchemaRef,
) -> anyhow::Result<Vec<TransformPlan>> {
    let mut input = Arc::clone(parsed);
    let mut plans = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        let plan = describe_transform(load, &StageName::Transform(index), stage, input)?;
        input = Arc::clone(&plan.schema);
        plans.push(plan);
    }
    Ok(plans)
}

fn describe_transform(
    load: &Load<'_>,
    name: &StageName,
    stage: &StageSpec,
    input: SchemaRef,
) -> anyhow::Result<TransformPlan> {
    let (plugin, config) = loaded(load, name, stage)?;
    let description = plugin.describe_transform(&config, &input)?;
    let fields = description.output.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>();
    let schema = Arc::new(arrow_schema::Schema::new(fields));
    let (given, wanted_computed, passed_on) = Default::default();
    Ok(TransformPlan { plugin, config, input, description, given, wanted_computed, passed_on, schema })
}

/// Describes one aggregate over the columns that it is given.
///
/// # Errors
/// As [`Plan::make`].
pub fn describe_aggregate(
    load: &Load<'_>,
    spec: &AggregateSpec,
    input: &SchemaRef,
) -> anyhow::Result<AggregatePlan> {
    let (plugin, config) = loaded(load, &StageName::Aggregate(spec.name.clone()), &spec.stage)?;
    let description = plugin.describe_aggregate(&config, input)?;
    let key_columns = spec
        .key
        .iter()
        .map(|name| columns::find(input, name).with_context(|| format!("the key of aggregate {}", spec.name)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for name in ["window_start", "window_end"].into_iter().chain(spec.key.iter().map(String::as_str)) {
        if description.output.index_of(name).is_ok() {
            bail!(
                "{} gives a column `{name}`, which the host adds itself; rename it in the plugin or by its settings",
                plugin.id()
            );
        }
    }
    if spec.keep_key_column {
        check_kept_names(spec)?;
    }
    topics::check_names(spec, &plugin, &description)?;
    console::check_windows(spec, &description)?;
    Ok(AggregatePlan {
        spec: spec.clone(),
        plugin,
        config,
        input: Arc::clone(input),
        description,
        key_columns,
    })
}

/// Refuses names that a file with its key as columns, and the hash of a key in its path, has no place for.
fn check_kept_names(spec: &AggregateSpec) -> anyhow::Result<()> {
    for name in &spec.key {
        if ["window_start", "window_end"].contains(&name.as_str()) {
            bail!(
                "keep_key_column: the key column `{name}` of aggregate {} is named like one that the host adds itself; \
                 rename it in a transform",
                spec.name
            );
        }
        hashed_component(name, &"0".repeat(DIGEST_DIGITS)).with_context(|| {
            format!("keep_key_column: the key of aggregate {} needs a column with a shorter name", spec.name)
        })?;
    }
    Ok(())
}

fn event_time_column(levels: &[SchemaRef], name: &str) -> anyhow::Result<EventTimeColumn> {
    for (level, schema) in levels.iter().enumerate() {
        if let Ok(column) = schema.index_of(name) {
            let unit = event_time_unit(name, schema.field(column).data_type())?;
            return Ok(EventTimeColumn { level, column, unit });
        }
    }
    let all = &levels[levels.len() - 1];
    Err(columns::missing(all, name)
        .context("no stage gives the event time; name its column with --event-time"))
}

fn event_time_unit(name: &str, data_type: &DataType) -> anyhow::Result<EventTimeUnit> {
    match data_type {
        DataType::Int64 => Ok(EventTimeUnit::Milliseconds),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(EventTimeUnit::Microseconds),
        other => bail!(
            "the event time column `{name}` is {other}; it has to be s64 (milliseconds since 1970 UTC) or timestamp-us"
        ),
    }
}

/// A transform before the event time is known cannot ask for it.
fn refuse_early_event_time(transforms: &[TransformPlan], event_time: EventTimeColumn) -> anyhow::Result<()> {
    for transform in transforms.iter().take(event_time.level) {
        if transform.description.needs.contains(&speed_layer_plugin::Need::EventTime) {
            bail!(
                "{} asks for the event time, which a stage after it makes; change the order of the transforms, or name the parser's column with --event-time",
                transform.plugin.id()
            );
        }
    }
    Ok(())
}
