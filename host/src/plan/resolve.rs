//! The backward pass: from what the aggregates and the console read to what each stage must give.

use std::collections::BTreeSet;

use arrow_schema::Schema;
use speed_layer_plugin::{Need, Origin};

use super::{AggregatePlan, EventTimeColumn, TransformPlan, columns, numbers};

/// Fills in what each transform is given and must give; returns the parser's wanted columns. `shown`: columns of the
/// last level that somebody reads besides the aggregates.
///
/// # Errors
/// When a stage needs a column that is not there.
pub fn wanted_columns(
    transforms: &mut [TransformPlan],
    aggregates: &[AggregatePlan],
    event_time: EventTimeColumn,
    shown: impl Iterator<Item = usize>,
) -> anyhow::Result<BTreeSet<usize>> {
    let mut wanted: BTreeSet<usize> = shown.collect();
    for aggregate in aggregates {
        wanted.extend(&aggregate.key_columns);
        add_needs(&mut wanted, &aggregate.description.needs, &aggregate.input)?;
    }
    for (i, transform) in transforms.iter_mut().enumerate().rev() {
        add_event_time(&mut wanted, event_time, i + 1);
        wanted = wanted_before(transform, &wanted)?;
    }
    add_event_time(&mut wanted, event_time, 0);
    Ok(wanted)
}

fn add_event_time(wanted: &mut BTreeSet<usize>, event_time: EventTimeColumn, level: usize) {
    if event_time.level == level {
        wanted.insert(event_time.column);
    }
}

fn add_needs<'a>(
    wanted: &mut BTreeSet<usize>,
    needs: impl IntoIterator<Item = &'a Need>,
    schema: &Schema,
) -> anyhow::Result<()> {
    for need in needs {
        if let Need::Column(name) = need {
            wanted.insert(columns::find(schema, name)?);
        }
    }
    Ok(())
}

fn wanted_before(transform: &mut TransformPlan, wanted: &BTreeSet<usize>) -> anyhow::Result<BTreeSet<usize>> {
    let mut given: BTreeSet<usize> =
        transform.description.always_needs.iter().map(|&need| need as usize).collect();
    let mut before = BTreeSet::new();
    let mut computed = BTreeSet::new();
    transform.passed_on.clear();
    for &column in wanted {
        match &transform.description.output[column].origin {
            Origin::PassedOn(input) => {
                before.insert(*input as usize);
                transform.passed_on.push((column, *input as usize));
            }
            Origin::Computed(needs) => {
                computed.insert(column);
                given.extend(needs.iter().map(|&need| need as usize));
            }
        }
    }
    add_needs(&mut before, given.iter().map(|&need| &transform.description.needs[need]), &transform.input)?;
    transform.given = numbers(&given);
    transform.wanted_computed = numbers(&computed);
    Ok(before)
}
