//! A chain of stored groups put together: all groups as they once were, then what each
//! epoch since has changed. Only the rows' places are decided here; no state is read.

use std::cmp::Reverse;
use std::collections::BTreeMap;

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
    let mut rows = Vec::new();
    for (at, batch) in batches.iter().enumerate() {
        check_columns(batches[0], batch)?;
        let (starts, keys) = identities(batch).ok_or(ReplayError::NoKeys)?;
        let open = (0..batch.num_rows()).filter(|row| is_open(starts.value(*row)));
        rows.extend(open.map(|row| ((starts.value(row), keys.value(row)), Reverse(at), row)));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    rows.sort_unstable();
    rows.dedup_by_key(|(identity, _, _)| *identity);
    let places: Vec<(usize, usize)> = rows.into_iter().map(|(_, Reverse(at), row)| (at, row)).collect();
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
