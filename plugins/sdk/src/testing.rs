//! Calls a plan as the host does, for the tests of plugins on their own machine.
//!
//! It groups nothing and keeps nothing: a test says which row goes into which group.

use crate::aggregate::{Closing, Finished, Pairs, Windows};
use crate::plan::Plan;
use crate::repeat::repeat;
use crate::types::{Batch, Column, ColumnData, Context, Failure, Need};

/// Rows as they come to an aggregate; all vectors and columns are of one length.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The input's columns by name.
    pub columns: Vec<(String, Column)>,
    /// Each row's event time.
    pub event_time_us: Vec<i64>,
    /// Each row's partition.
    pub partition: Vec<i32>,
    /// Each row's offset.
    pub offset: Vec<i64>,
}

impl Table {
    /// The columns that a plan asks for.
    ///
    /// # Errors
    /// Stops the job, with the name, when there is none of that name.
    pub fn batch(&self, plan: &Plan) -> Result<Batch, Failure> {
        let columns = plan.describe().needs.iter().map(|need| self.column(need)).collect::<Result<_, _>>()?;
        Ok(Batch { rows: self.event_time_us.len() as u32, columns })
    }

    fn column(&self, need: &Need) -> Result<Column, Failure> {
        let data = match need {
            Need::Column(name) => {
                let found = self.columns.iter().find(|(known, _)| known == name);
                let missing = || Failure::StopJob(format!("the test has no column {name:?}"));
                return found.map(|(_, column)| column.clone()).ok_or_else(missing);
            }
            Need::EventTime | Need::KafkaTimestamp => ColumnData::TimestampUs(self.event_time_us.clone()),
            Need::Partition => ColumnData::S32(self.partition.clone()),
            Need::Offset => ColumnData::S64(self.offset.clone()),
            Need::Ordinal => ColumnData::S32(vec![0; self.offset.len()]),
        };
        Ok(Column { validity: None, data })
    }
}

/// The states of so many groups without rows.
pub fn identity(plan: &Plan, groups: usize) -> Batch {
    let one = plan.describe().state.identity;
    let columns = one.columns.iter().map(|column| repeat(column, groups)).collect();
    Batch { rows: groups as u32, columns }
}

/// Folds rows into states; pair i says that `rows[i]` belongs to the group `groups[i]`.
///
/// # Errors
/// The plan's.
pub fn update(plan: &Plan, table: &Table, pairs: (&[u32], &[u32]), states: Batch) -> Result<Batch, Failure> {
    plan.update(&table.batch(plan)?, Pairs::new(pairs.0, pairs.1), states)
}

/// The results of states, without keys and windows.
///
/// # Errors
/// The plan's.
pub fn finish(plan: &Plan, states: &Batch) -> Result<Finished, Failure> {
    let context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };
    let windows = Windows { start_us: vec![], end_us: vec![] };
    let keys = Batch { rows: states.rows, columns: vec![] };
    plan.finish(states, &Closing { context: &context, keys: &keys, windows: &windows, is_final: true })
}
