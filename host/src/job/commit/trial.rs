//! A swap as the commits see it: what served the job before stays whole until the new
//! plugins have proved themselves, and the values of windows that they do not go on with
//! are written down with the first commit that is theirs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use speed_layer_core::commit::{OffsetMark, OutputId, PluginUse, PublishEntry, StageUse};
use speed_layer_core::path::component;
use speed_layer_store::CommitStore;
use speed_layer_store::footer::OffsetRange;

use super::{AggregateCommit, Commits, codec};
use crate::config::Compression;
use crate::job::moved;
use crate::job::open_windows::{OpenWindows, SoFar};
use crate::job::partitions::Partitions;
use crate::job::stored;
use crate::job::swap::{Rebuild, Windows, check_groups};
use crate::plan::{AggregatePlan, Plan};
use crate::stages::EpochContext;

/// What serves the job from a cut on, if it proves itself.
pub struct Replacement {
    pub plan: Arc<Plan>,
    /// Opened, without windows yet; one an aggregate of the job.
    pub aggregates: Vec<OpenWindows>,
    /// What becomes of the open windows, one an aggregate.
    pub windows: Vec<Windows>,
    /// Where the windows of an aggregate, by its number, go from now on.
    pub output: Option<(usize, PathBuf)>,
    /// Makes the windows anew that are to be.
    pub rebuild: Option<Box<Rebuild>>,
    /// The cut.
    pub from: Vec<OffsetMark>,
    /// The epoch that begins with it.
    pub epoch: Arc<EpochContext>,
}

/// Windows that were made anew.
#[derive(Default)]
struct Anew {
    /// One an aggregate, each to be taken once.
    open: Vec<Option<OpenWindows>>,
    /// The lowest offsets that they were made of.
    from: Vec<OffsetMark>,
    has_same_rows: bool,
}

impl Anew {
    /// Those of one aggregate that are still open at the cut.
    fn take(
        &mut self,
        index: usize,
        before: &OpenWindows,
        epoch: &EpochContext,
    ) -> anyhow::Result<OpenWindows> {
        let open = self.open.get_mut(index).and_then(Option::take);
        let mut open = open.context("the windows of an aggregate were not made anew")?;
        open.forget_closed(epoch.aggregates[index].released_through_ms)?;
        if self.has_same_rows {
            check_groups(before, &open)?;
        }
        Ok(open)
    }
}

/// What served the job before a trial.
pub(super) struct Before {
    aggregates: Vec<AggregateCommit>,
    stages: Vec<StageUse>,
    partials: Vec<PartialWindows>,
    /// Of the trial, not of before.
    output: Option<(usize, PathBuf)>,
}

/// Windows of an aggregate that nobody goes on with.
pub(super) struct PartialWindows {
    aggregate: String,
    compression: Compression,
    so_far: SoFar,
    /// Those that made the values.
    plugins: Vec<PluginUse>,
    digest: String,
    /// Up to where records are in them.
    cut: Vec<OffsetMark>,
}

impl PartialWindows {
    /// The rows with the plugin's digest and the epoch at their end.
    fn marked(&self, epoch: u64) -> anyhow::Result<RecordBatch> {
        let rows = &self.so_far.rows;
        let schema = rows.schema();
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        let mut columns = rows.columns().to_vec();
        let mut add = |name: &str, data_type: DataType, column| {
            fields.push(Arc::new(Field::new(free(name, &schema), data_type, false)));
            columns.push(column);
        };
        let digests = StringArray::from_iter_values(std::iter::repeat_n(&self.digest, rows.num_rows()));
        add("plugin_digest", DataType::Utf8, Arc::new(digests));
        let epochs = Int64Array::from_value(i64::try_from(epoch)?, rows.num_rows());
        add("epoch", DataType::Int64, Arc::new(epochs));
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    fn offsets(&self) -> Vec<OffsetRange> {
        let lowest: BTreeMap<i32, i64> = self.so_far.lowest_offsets.iter().copied().collect();
        let range = |mark: &OffsetMark| {
            let lowest = *lowest.get(&mark.partition)?;
            Some(OffsetRange {
                topic: mark.topic.clone(),
                partition: mark.partition,
                lowest,
                cut: mark.offset,
            })
        };
        self.cut.iter().filter_map(range).collect()
    }
}

/// A column's name that the schema does not have.
fn free(name: &str, schema: &Schema) -> String {
    let mut name = name.to_owned();
    while schema.column_with_name(&name).is_some() {
        name.push('_');
    }
    name
}

impl<S: CommitStore> Commits<S> {
    pub(super) fn begin(&mut self, replacement: Replacement) -> anyhow::Result<()> {
        let Replacement { plan, aggregates, windows, output, rebuild, from, epoch } = replacement;
        if let Some((index, root)) = &output {
            self.committer.prepare_output(&self.aggregates[*index].spec.name, root)?;
        }
        let mut anew = self.made_anew(rebuild, &from)?;
        let row_plugins: Vec<PluginUse> = self.row_plugins().collect();
        let mut partials = Vec::new();
        let mut next = Vec::new();
        let all_anew = windows.iter().all(|windows| *windows == Windows::Rebuild);
        let pairs = self.aggregates.iter_mut().zip(aggregates).zip(plan.aggregates.iter().zip(windows));
        for (index, ((before, mut open), (plan, windows))) in pairs.enumerate() {
            match windows {
                Windows::TakeOver => open.take_over(&before.open)?,
                Windows::Reset => {
                    let so_far = before.open.so_far(&epoch.for_aggregate(index))?;
                    partials.extend(so_far.map(|so_far| partial(before, so_far, &row_plugins, &from)));
                }
                Windows::Rebuild => open = anew.take(index, &before.open, &epoch)?,
            }
            let served_from = if windows == Windows::Rebuild { &anew.from } else { &from };
            next.push(succeed(before, open, plan, served_from));
        }
        let rows_from = if all_anew { &anew.from } else { &from };
        let stages = stored::next_histories(&plan, &self.stages, rows_from);
        self.before = Some(Before {
            aggregates: std::mem::replace(&mut self.aggregates, next),
            stages: std::mem::replace(&mut self.stages, stages),
            partials,
            output,
        });
        Ok(())
    }

    /// Reads the rest of what open windows are made of anew.
    fn made_anew(&self, rebuild: Option<Box<Rebuild>>, cut: &[OffsetMark]) -> anyhow::Result<Anew> {
        let Some(rebuild) = rebuild else { return Ok(Anew::default()) };
        let before: Vec<&OpenWindows> = self.aggregates.iter().map(|of| &of.open).collect();
        let (from, has_same_rows) = (rebuild.from.clone(), rebuild.has_same_rows());
        let open = rebuild.finish(&before, cut).context("the open windows cannot be made anew")?;
        Ok(Anew { open: open.into_iter().map(Some).collect(), from, has_same_rows })
    }

    pub(super) fn end(&mut self, keep: bool) -> anyhow::Result<()> {
        match self.before.take() {
            Some(before) if keep => {
                self.partials = before.partials;
                for (now, was) in self.aggregates.iter_mut().zip(&before.aggregates) {
                    now.open.end_rehearsal();
                    now.open.isolate_as(&was.open);
                }
                self.writes_all = true;
                if let Some((index, root)) = before.output {
                    self.move_output(index, &root)?;
                }
            }
            Some(Before { aggregates, stages, .. }) => (self.aggregates, self.stages) = (aggregates, stages),
            None => {}
        }
        Ok(())
    }

    fn move_output(&mut self, index: usize, root: &Path) -> anyhow::Result<()> {
        let aggregate = &mut self.aggregates[index];
        aggregate.moved = Some(moved::moved(&aggregate.spec.output, root));
        Ok(self.committer.move_output(&aggregate.spec.name, root)?)
    }

    /// Writes down the windows that the plugins of this epoch did not go on with.
    pub(super) fn stage_partials(
        &mut self,
        epoch: &EpochContext,
        partitions: &Partitions,
        files: &mut Vec<PublishEntry>,
    ) -> anyhow::Result<()> {
        for partial in std::mem::take(&mut self.partials) {
            let rows = partial.marked(self.committer.epoch().0)?;
            let mut footer = self.footer(epoch, partitions, &BTreeMap::new());
            (footer.offsets, footer.plugins) = (partial.offsets(), partial.plugins);
            let directory = component("aggregate", Some(&partial.aggregate))?;
            let codec = codec(partial.compression);
            let mut part = self.committer.begin_part(&OutputId::Partial, &directory, rows.schema(), codec)?;
            part.write(&rows)?;
            files.push(self.committer.finish_part(part, &footer)?);
        }
        Ok(())
    }
}

fn partial(
    of: &AggregateCommit,
    so_far: SoFar,
    row_plugins: &[PluginUse],
    cut: &[OffsetMark],
) -> PartialWindows {
    PartialWindows {
        aggregate: of.spec.name.clone(),
        compression: of.spec.compression,
        so_far,
        plugins: row_plugins.iter().chain(&of.plugins).cloned().collect(),
        digest: of.plugins.last().map(|plugin| plugin.digest.to_string()).unwrap_or_default(),
        cut: cut.to_vec(),
    }
}

fn succeed(
    before: &AggregateCommit,
    open: OpenWindows,
    plan: &AggregatePlan,
    from: &[OffsetMark],
) -> AggregateCommit {
    let plugins = stored::history(before.plugins.clone(), &plan.plugin, &plan.config, from);
    AggregateCommit {
        spec: before.spec.clone(),
        open,
        plugins,
        moved: before.moved.clone(),
        holding: before.holding.clone(),
    }
}
