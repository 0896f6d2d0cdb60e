//! A chain of stored groups put together: all groups as they once were, then what each
//! epoch since has changed. Only the rows' places are decided here; no state is read.

use std::collections::{BTreeMap, HashSet};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;

use super::stored::identities;
use super::{StoredGroups, WindowOffset};
use crate::time::WindowSpec;

/// Why stored groups do not make a chain.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("its groups have columns {found}, where those before it have {expected}")]
    OtherColumns { expected: String, found: String },
    #[error("its groups have no window and key to be told apart by")]
    NoKeys,
    #[error("the groups cannot be put together: {0}")]
    Arrow(#[from] ArrowError),
}

/// What is open after the last of `links`, which come oldest first: of each group and
/// of each offset the newest form counts, and windows that end at or before
/// `closed_through_us` are gone.
///
/// # Errors
/// [`ReplayError`]: the links are not of one table.
pub fn replay(
    links: &[&StoredGroups],
    spec: WindowSpec,
    closed_through_us: Option<i64>,
) -> Result<StoredGroups, ReplayError> {
    let is_open = |start_us: i64| closed_through_us.is_none_or(|closed| spec.end_of(start_us) > closed);
    let batches: Vec<&RecordBatch> = links.iter().filter_map(|link| link.groups.as_ref()).collect();
    Ok(StoredGroups { groups: newest_groups(&batches, is_open)?, offsets: newest_offsets(links, is_open) })
}

fn newest_groups(
    batches: &[&RecordBatch],
    is_open: impl Fn(i64) -> bool,
) -> Result<Option<RecordBatch>, ReplayError> {
    let mut seen = HashSet::new();
    let mut newest = Vec::new();
    for (at, batch) in batches.iter().enumerate().rev() {
        check_columns(batches[0], batch)?;
        let (starts, keys) = identities(batch).ok_or(ReplayError::NoKeys)?;
        for row in 0..batch.num_rows() {
            let identity = (starts.value(row), keys.value(row));
            if is_open(identity.0) && seen.insert(identity) {
                newest.push((identity, (at, row)));
            }
        }
    }
    if newest.is_empty() {
        return Ok(None);
    }
    newest.sort_unstable();
    let places: Vec<(usize, usize)> = newest.into_iter().map(|(_, place)| place).collect();
    Ok(Some(interleave_record_batch(batches, &places)?))
}

fn check_columns(first: &RecordBatch, other: &RecordBatch) -> Result<(), ReplayError> {
    if first.schema_ref() == other.schema_ref() {
        return Ok(());
    }
    let (expected, found) = (first.schema_ref().to_string(), other.schema_ref().to_string());
    Err(ReplayError::OtherColumns { expected, found })
}

fn newest_offsets(links: &[&StoredGroups], is_open: impl Fn(i64) -> bool) -> Vec<WindowOffset> {
    let mut newest = BTreeMap::new();
    let all = links.iter().flat_map(|link| &link.offsets);
    for offset in all.filter(|offset| is_open(offset.start_us)) {
        newest.insert((offset.start_us, offset.partition), offset.offset);
    }
    let offset = |((start_us, partition), offset)| WindowOffset { start_us, partition, offset };
    newest.into_iter().map(offset).collect()
}
