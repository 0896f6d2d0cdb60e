//! Compares what a job has left with what was produced, record by record: every record of a closed window
//! is in that window's row or, if it may be late, among the late rows; every bad one is a dead letter; each
//! is there once, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use speed_layer_tests::letters::{self, Letter};
use speed_layer_tests::parquet_table::files;

use crate::readers::Seen;
use crate::records::{Group, Id, Truth};

/// The records that lie in a job's folder as dead letters.
///
/// # Errors
/// A file is not as it should be.
pub fn dead_letters(folder: &Path) -> Result<Vec<Id>> {
    let letters = letters::read(&folder.join("out.dead-letters"))?;
    Ok(letters.iter().map(|letter| (letter.partition, letter.offset)).collect())
}

/// Compares, with these dead letters; gives what a reader of the folder must have seen in the end.
///
/// # Errors
/// What is missing, twice or strange; at most a few of each kind are named.
pub fn compare(folder: &Path, truth: &Truth, dead: &[Id]) -> Result<Seen> {
    let published = published(&folder.join("out"))?;
    let late = letters::read(&folder.join("out.late"))?;
    let seen = Seen {
        rows: published.len() as u64,
        ids: published.iter().map(|(_, ids)| ids.len() as u64).sum(),
        dead_letters: dead_letters(folder)?.len() as u64,
        late: late.len() as u64,
    };
    compare_bad(dead, &truth.bad)?;
    compare_groups(found(published, &late, truth)?, truth)?;
    Ok(seen)
}

fn compare_bad(dead: &[Id], bad: &BTreeSet<Id>) -> Result<()> {
    let unique: BTreeSet<Id> = dead.iter().copied().collect();
    ensure!(unique.len() == dead.len(), "dead letters are there twice: {:?}", doubled(dead));
    ensure!(unique == *bad, "dead letters differ: {:?}", few(unique.symmetric_difference(bad)));
    Ok(())
}

/// Where each id was found, by group; a window's row that is there twice is an error.
fn found(
    published: Vec<(Group, Vec<Id>)>,
    late: &[Letter],
    truth: &Truth,
) -> Result<BTreeMap<Group, Vec<Id>>> {
    let mut found = BTreeMap::new();
    for (group, ids) in published {
        ensure!(found.insert(group.clone(), ids).is_none(), "the row of {group:?} is there twice");
    }
    for letter in late {
        let id = (letter.partition, letter.offset);
        ensure!(truth.may_be_late.contains(&id), "{id:?} came in time and is among the late rows");
        let missed = letter.missed.as_ref().context("a late row missed no window")?;
        let key = letter.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        found.entry((key.to_owned(), missed.start_ms)).or_insert_with(Vec::new).push(id);
    }
    Ok(found)
}

fn compare_groups(found: BTreeMap<Group, Vec<Id>>, truth: &Truth) -> Result<()> {
    for (group, ids) in &found {
        let Some(wanted) = truth.closed.get(group) else {
            bail!("{group:?} is there, but is no closed window of what was produced")
        };
        let unique: BTreeSet<Id> = ids.iter().copied().collect();
        ensure!(unique.len() == ids.len(), "in {group:?} records are there twice: {:?}", doubled(ids));
        let missing = few(wanted.difference(&unique));
        ensure!(missing.is_empty(), "in {group:?} records are missing, such as {missing:?}");
        let strange = few(unique.difference(wanted));
        ensure!(strange.is_empty(), "in {group:?} are records that are not of it, such as {strange:?}");
    }
    let missing = few(truth.closed.keys().filter(|group| !found.contains_key(*group)));
    ensure!(missing.is_empty(), "groups are missing, such as {missing:?}");
    Ok(())
}

fn few<'a, T: Clone + 'a>(items: impl Iterator<Item = &'a T>) -> Vec<T> {
    items.take(5).cloned().collect()
}

fn doubled(ids: &[Id]) -> Vec<Id> {
    let mut seen = BTreeSet::new();
    ids.iter().copied().filter(|id| !seen.insert(*id)).take(5).collect()
}

/// Every row of the table: its group and the ids in it.
fn published(root: &Path) -> Result<Vec<(Group, Vec<Id>)>> {
    let mut rows = Vec::new();
    for file in files(root)? {
        let symbol =
            file.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.strip_prefix("symbol="));
        let symbol = symbol.with_context(|| format!("{} is not in a symbol's folder", file.display()))?;
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(&file)?)?.build()? {
            add(symbol, &batch?, &mut rows).with_context(|| format!("in {}", file.display()))?;
        }
    }
    Ok(rows)
}

fn add(symbol: &str, batch: &RecordBatch, rows: &mut Vec<(Group, Vec<Id>)>) -> Result<()> {
    let column =
        |name: &str| batch.column_by_name(name).with_context(|| format!("there is no column {name}"));
    let starts = column("window_start")?.as_primitive::<TimestampMicrosecondType>();
    let counts = column("count")?.as_primitive::<Int64Type>();
    let texts = column("ids")?.as_string::<i32>();
    for row in 0..batch.num_rows() {
        let ids = texts.value(row).split(' ').map(id).collect::<Result<Vec<_>>>()?;
        ensure!(ids.len() as i64 == counts.value(row), "a count of {} for {ids:?}", counts.value(row));
        rows.push(((symbol.to_owned(), starts.value(row) / 1_000), ids));
    }
    Ok(())
}

fn id(text: &str) -> Result<Id> {
    let (partition, offset) = text.split_once('-').with_context(|| format!("{text:?} is no id"))?;
    Ok((partition.parse()?, offset.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(start_ms: i64) -> Group {
        ("A".to_owned(), start_ms)
    }

    fn truth() -> Truth {
        let closed =
            BTreeMap::from([(group(0), BTreeSet::from([(0, 1), (0, 2)])), (group(1), [(1, 7)].into())]);
        Truth { closed, ..Truth::default() }
    }

    fn check(found: &[(i64, &[Id])], complaint: Option<&str>) {
        let found = found.iter().map(|(start_ms, ids)| (group(*start_ms), ids.to_vec())).collect();
        let said = compare_groups(found, &truth()).err().map(|error| error.to_string());
        let fits = match (complaint, &said) {
            (None, None) => true,
            (Some(part), Some(said)) => said.contains(part),
            _ => false,
        };
        assert!(fits, "{complaint:?} was expected, {said:?} was said");
    }

    #[test]
    fn what_is_missing_twice_or_strange_is_named() {
        check(&[(0, &[(0, 2), (0, 1)]), (1, &[(1, 7)])], None);
        check(&[(0, &[(0, 1)]), (1, &[(1, 7)])], Some("missing, such as [(0, 2)]"));
        check(&[(0, &[(0, 1), (0, 2)])], Some("groups are missing"));
        check(&[(0, &[(0, 1), (0, 2), (0, 2)]), (1, &[(1, 7)])], Some("twice: [(0, 2)]"));
        check(&[(0, &[(0, 1), (0, 2), (1, 7)]), (1, &[(1, 7)])], Some("not of it, such as [(1, 7)]"));
        check(&[(5, &[(9, 9)])], Some("no closed window"));
    }

    #[test]
    fn a_dead_letter_that_is_lacking_or_too_many_is_named() {
        let bad = BTreeSet::from([(0, 3)]);
        assert!(compare_bad(&[], &bad).is_err_and(|error| error.to_string().contains("(0, 3)")));
        assert!(compare_bad(&[], &BTreeSet::new()).is_ok());
    }
}
