//! Grouping against a plain map, with a state that counts its rows: any way of
//! cutting rows into calls, workers, chunks and restarts gives the same groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use speed_layer_core::group::{
    Assignment, GroupError, GroupTable, ImportError, ReplayError, Rows, StoredGroups, WindowGroups,
    WindowOffset, replay,
};
use speed_layer_core::key::KeyEncoder;
use speed_layer_core::state::StateLayout;
use speed_layer_core::time::WindowSpec;

use crate::prng::Prng;

pub const SIZE_US: i64 = 3_600_000_000;

pub struct Row {
    pub symbol: Option<String>,
    pub event_ms: i64,
    /// Of its window.
    pub start_us: i64,
    pub partition: i32,
    pub offset: i64,
}

/// What a table should hold: rows by window and key, and the lowest offsets.
#[derive(Default, Debug, PartialEq)]
pub struct Model {
    pub counts: BTreeMap<(i64, Vec<u8>), i64>,
    pub lowest: BTreeMap<(i64, i32), i64>,
}

impl Model {
    pub fn add(&mut self, row: &Row) {
        let key = row.symbol.as_ref().map_or(vec![0xFF], |symbol| symbol.clone().into_bytes());
        *self.counts.entry((row.start_us, key)).or_default() += 1;
        let lowest = self.lowest.entry((row.start_us, row.partition)).or_insert(row.offset);
        *lowest = row.offset.min(*lowest);
    }

    pub fn of(table: &GroupTable, windows: &[WindowGroups]) -> Self {
        let mut model = Self::default();
        for window in windows {
            assert_eq!(window.end_us, window.start_us + SIZE_US);
            let counts = counts(&table.states().gather(&window.slots).unwrap());
            for (key, count) in window.keys.iter().zip(counts) {
                model.counts.insert((window.start_us, key.as_bytes().to_vec()), count);
            }
            let lowest = window.lowest_offsets.iter();
            model.lowest.extend(lowest.map(|(partition, offset)| ((window.start_us, *partition), *offset)));
        }
        model
    }
}

pub fn encoder() -> KeyEncoder {
    let schema = Schema::new(vec![Field::new("symbol", DataType::Utf8, true)]);
    KeyEncoder::new(&schema, &["symbol".to_owned()]).unwrap()
}

fn count_batch(counts: Vec<i64>) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("count", DataType::Int64, false)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(counts))]).unwrap()
}

fn counts(states: &RecordBatch) -> Vec<i64> {
    states.column(0).as_primitive::<Int64Type>().values().to_vec()
}

pub fn table() -> GroupTable {
    let identity = count_batch(vec![0]);
    let layout = Arc::new(StateLayout::new(identity.schema()).unwrap());
    GroupTable::new(WindowSpec::new("1h".parse().unwrap()).unwrap(), layout, &identity).unwrap()
}

fn random_rows(prng: &mut Prng, rows: usize) -> Vec<Row> {
    let long = "a symbol that is too long to lie in the entry itself";
    let row = |offset: usize| {
        let symbol = match prng.below(12) {
            0 => None,
            1 => Some(format!("{long}{}", prng.below(3))),
            _ => Some(format!("S{}", prng.below(40))),
        };
        let start_us = (prng.below(30) as i64 - 5) * SIZE_US;
        let (partition, offset) = (prng.below(4) as i32, offset as i64);
        Row { symbol, event_ms: start_us / 1_000, start_us, partition, offset }
    };
    (0..rows).map(row).collect()
}

/// Counts `rows` into `table` as a plugin would, in chunks of at most `state_bytes_max`.
pub fn fold(table: &mut GroupTable, rows: &[Row], selected: &[u32], state_bytes_max: usize) {
    let symbols: ArrayRef = Arc::new(rows.iter().map(|row| row.symbol.clone()).collect::<StringArray>());
    let keys = encoder().encode(&[symbols]).unwrap();
    let windows_us: Vec<i64> = rows.iter().map(|row| row.start_us).collect();
    let partitions: Vec<i32> = rows.iter().map(|row| row.partition).collect();
    let offsets: Vec<i64> = rows.iter().map(|row| row.offset).collect();
    let mut assignment = Assignment::default();
    let batch =
        Rows { keys: &keys, windows_us: &windows_us, partitions: &partitions, offsets: &offsets, selected };
    table.assign(batch, &mut assignment).unwrap();
    assert_eq!(assignment.rows, selected);
    let mut pairs = 0;
    for chunk in assignment.chunks(table.states(), state_bytes_max) {
        assert!(chunk.rows.is_sorted() && chunk.slots.len() <= (state_bytes_max / 8).max(1));
        let mut states = counts(&table.states().gather(&chunk.slots).unwrap());
        chunk.groups.iter().for_each(|group| states[*group as usize] += 1);
        table.states_mut().scatter(&chunk.slots, &count_batch(states)).unwrap();
        pairs += chunk.rows.len();
    }
    assert_eq!(pairs, selected.len());
}

fn fold_all(table: &mut GroupTable, rows: &[Row]) {
    fold(table, rows, &(0..rows.len() as u32).collect::<Vec<u32>>(), usize::MAX);
}

pub fn merge(job: &mut GroupTable, worker: &GroupTable) {
    let plan = job.absorb(worker).unwrap();
    let ours = counts(&job.states().gather(&plan.ours).unwrap());
    let theirs = counts(&worker.states().gather(&plan.theirs).unwrap());
    let merged = ours.iter().zip(theirs).map(|(a, b)| a + b).collect();
    job.states_mut().scatter(&plan.ours, &count_batch(merged)).unwrap();
}

fn reload(table: &GroupTable, stored: &StoredGroups) -> GroupTable {
    let mut loaded = table.new_empty();
    loaded.import(&encoder(), stored).unwrap();
    loaded
}

#[test]
fn groups_do_not_depend_on_how_the_rows_are_cut() {
    for seed in 0..40 {
        let mut prng = Prng::new(seed);
        let rows = random_rows(&mut prng, 1_000);
        let mut model = Model::default();
        let mut workers = [table(), table()];
        let mut job = table();
        let mut at = 0;
        while at < rows.len() {
            let batch = &rows[at..(at + 1 + prng.below(150)).min(rows.len())];
            let selected: Vec<u32> = (0..batch.len() as u32).filter(|_| !prng.one_in(5)).collect();
            selected.iter().for_each(|row| model.add(&batch[*row as usize]));
            let bytes_max = prng.choose(&[0, 8, 100, usize::MAX]);
            fold(&mut workers[prng.below(2)], batch, &selected, bytes_max);
            at += batch.len();
            if prng.one_in(4) {
                workers.iter_mut().for_each(|worker| {
                    merge(&mut job, worker);
                    worker.clear();
                });
                job = reload(&job, &job.export().unwrap());
            }
        }
        workers.iter().for_each(|worker| merge(&mut job, worker));
        assert_eq!(Model::of(&job, &job.groups()), model, "seed {seed}");
        assert_eq!(job.len(), model.counts.len());
    }
}

#[test]
fn closed_windows_come_out_once_and_in_order() {
    for seed in 0..20 {
        let mut prng = Prng::new(seed);
        let (mut job, mut model) = (table(), Model::default());
        let mut closed_us = i64::MIN;
        for _ in 0..20 {
            let rows: Vec<Row> = random_rows(&mut prng, 60)
                .into_iter()
                .filter(|row| row.start_us + SIZE_US > closed_us)
                .collect();
            fold_all(&mut job, &rows);
            rows.iter().for_each(|row| model.add(row));
            closed_us = closed_us.max((prng.below(32) as i64 - 8) * SIZE_US + prng.below(2) as i64);
            let closed = job.drain_closed(closed_us);
            assert!(closed.iter().all(|window| window.end_us <= closed_us && window.keys.is_sorted()));
            assert!(closed.is_sorted_by_key(|window| window.start_us));
            let drained = Model::of(&job, &closed);
            let is_closed = |start_us: i64| start_us + SIZE_US <= closed_us;
            assert_eq!(drained.counts, model.counts.extract_if(.., |key, _| is_closed(key.0)).collect());
            assert_eq!(drained.lowest, model.lowest.extract_if(.., |key, _| is_closed(key.0)).collect());
            job.release(&closed).unwrap();
            assert_eq!(Model::of(&job, &job.groups()), model, "seed {seed}");
            assert_eq!(job.len(), model.counts.len());
        }
        job.drain_closed(i64::MAX);
        assert_eq!((job.window_count(), job.groups().len()), (0, 0));
    }
}

#[test]
fn tables_of_other_windows_are_not_merged() {
    let identity = count_batch(vec![0]);
    let layout = Arc::new(StateLayout::new(identity.schema()).unwrap());
    let daily = GroupTable::new(WindowSpec::new("1d".parse().unwrap()).unwrap(), layout, &identity).unwrap();
    assert!(matches!(table().absorb(&daily), Err(GroupError::OtherWindows { .. })));
}

#[test]
fn an_impossible_partition_is_refused() {
    for partition in [-1, i32::MIN, i32::MAX] {
        let symbols: ArrayRef = Arc::new(StringArray::from(vec!["A"]));
        let keys = encoder().encode(&[symbols]).unwrap();
        let (partitions, offsets) = ([partition], [0]);
        let rows = Rows {
            keys: &keys,
            windows_us: &[0],
            partitions: &partitions,
            offsets: &offsets,
            selected: &[0],
        };
        let refused = table().assign(rows, &mut Assignment::default());
        assert!(matches!(refused, Err(GroupError::Partition { .. })));
    }
}

fn stored(groups: &RecordBatch, offsets: &[WindowOffset]) -> StoredGroups {
    StoredGroups { groups: Some(groups.clone()), offsets: offsets.to_vec() }
}

/// A job that writes down what each epoch changed, with all of it now and then.
#[test]
fn what_each_epoch_changed_adds_up_to_all() {
    for seed in 0..60 {
        let mut prng = Prng::new(seed);
        let mut job = table();
        let (mut chain, mut closed_us) = (vec![job.export().unwrap()], None);
        for _ in 0..12 {
            let mut workers = [table(), table()];
            workers.iter_mut().for_each(|worker| {
                let rows = random_rows(&mut prng, 30);
                let is_open = |row: &Row| closed_us.is_none_or(|closed| row.start_us + SIZE_US > closed);
                fold_all(worker, &rows.into_iter().filter(is_open).collect::<Vec<_>>());
            });
            workers.iter().for_each(|worker| merge(&mut job, worker));
            check_changed(&job, &workers.each_ref(), seed);
            if prng.one_in(3) {
                closed_us = closed_us.max(Some((prng.below(20) as i64 - 8) * SIZE_US));
                let closed = job.drain_closed(closed_us.unwrap());
                job.release(&closed).unwrap();
            }
            if prng.one_in(5) {
                chain = vec![job.export().unwrap()];
            } else {
                chain.push(job.export_changed(&workers.each_ref()).unwrap());
            }
            let whole = replay(&chain.iter().collect::<Vec<_>>(), job.spec(), closed_us).unwrap();
            assert_eq!(whole, job.export().unwrap(), "seed {seed}");
            let loaded = reload(&job, &whole);
            assert_eq!(Model::of(&loaded, &loaded.groups()), Model::of(&job, &job.groups()), "seed {seed}");
        }
    }
}

/// The groups that have changed are those that a checkpoint is given, each with its own slot.
fn check_changed(job: &GroupTable, partials: &[&GroupTable], seed: u64) {
    let changed = job.changed_groups(partials);
    let of_window = |window: &WindowGroups| {
        let own = window.keys.iter().zip(&window.slots);
        own.for_each(|(key, slot)| assert_eq!(job.slot_of(window.start_us, key), Some(*slot), "seed {seed}"));
        assert_eq!(window.end_us, window.start_us + SIZE_US, "seed {seed}");
        window.keys.iter().map(|key| (window.start_us, key.as_bytes().to_vec())).collect::<Vec<_>>()
    };
    let found: Vec<_> = changed.iter().flat_map(of_window).collect();
    let exported = job.export_changed(partials).unwrap().groups;
    let of_batch = |groups: &RecordBatch| {
        let starts = groups.column(0).as_primitive::<Int64Type>().values().to_vec();
        let keys = groups.column(1).as_binary::<i32>();
        let key = |(row, start): (usize, i64)| (start, keys.value(row).to_vec());
        starts.into_iter().enumerate().map(key).collect::<Vec<_>>()
    };
    assert_eq!(found, exported.as_ref().map(of_batch).unwrap_or_default(), "seed {seed}");
}

#[test]
fn an_epoch_without_rows_changes_nothing() {
    let mut job = table();
    fold_all(&mut job, &random_rows(&mut Prng::new(1), 20));
    let (all, none) = (job.export().unwrap(), job.export_changed(&[&table()]).unwrap());
    assert_eq!(none, StoredGroups::default());
    assert_eq!(replay(&[&all, &none], job.spec(), None).unwrap(), all);
    assert_eq!(replay(&[], job.spec(), None).unwrap(), none);
    assert_eq!(replay(&[&all], job.spec(), Some(i64::MAX)).unwrap(), none);
}

#[test]
fn links_of_different_tables_are_not_put_together() {
    let column = |name: &str| (name.to_owned(), Arc::new(Int64Array::from(vec![1])) as ArrayRef);
    let link = |names: &[&str]| {
        let groups = RecordBatch::try_from_iter(names.iter().map(|name| column(name))).unwrap();
        StoredGroups { groups: Some(groups), offsets: vec![] }
    };
    let mut job = table();
    fold_all(&mut job, &random_rows(&mut Prng::new(1), 20));
    let check = |links: &[&StoredGroups], needle: &str| {
        let refused: ReplayError = replay(links, job.spec(), None).unwrap_err();
        assert!(refused.to_string().contains(needle), "{refused}");
    };
    check(&[&job.export().unwrap(), &link(&["count"])], "where those before it have");
    check(&[&link(&["window_start_us", "key"])], "no window and key");
    check(&[&link(&["window_start_us"])], "no window and key");
}

#[test]
fn stored_groups_are_verified() {
    let batch = |starts: Vec<i64>, keys: Vec<&[u8]>| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(starts.clone())),
            Arc::new(BinaryArray::from(keys)),
            Arc::new(Int64Array::from(starts)),
        ];
        let schema = GroupTable::export_schema(table().states().layout());
        RecordBatch::try_new(schema, columns).unwrap()
    };
    let offset = |start_us, partition, offset| WindowOffset { start_us, partition, offset };
    let check = |batch: &RecordBatch, offsets: &[WindowOffset], message: &str| {
        let refused = table().import(&encoder(), &stored(batch, offsets)).unwrap_err();
        assert!(refused.to_string().contains(message), "{refused}");
    };
    let one = batch(vec![SIZE_US], vec![b"A"]);
    let whole = [offset(SIZE_US, 0, 5)];
    table().import(&encoder(), &stored(&one, &whole)).unwrap();
    check(&batch(vec![5], vec![b"A"]), &whole, "no multiple of 3600000000 us");
    check(&batch(vec![SIZE_US; 2], vec![b"A"; 2]), &whole, "stored group 1 is there twice: its key b\"A\"");
    check(&batch(vec![SIZE_US], vec![b"\xC3"]), &whole, "damaged at key column \"symbol\"");
    check(&one, &[], "no offset that contributed");
    check(&one, &[whole[0], offset(0, 0, 5)], "belongs to no stored window");
    check(&one, &[offset(SIZE_US, 0, -1)], "a stored offset -1");
    check(&one, &[offset(SIZE_US, -1, 5)], "partition -1 is not a number");
    check(&one.project(&[0, 1]).unwrap(), &whole, "states have 1 columns, but 0 were given");
    check(&one.project(&[1, 0, 2]).unwrap(), &whole, "were expected");
    check(&one.project(&[]).unwrap(), &whole, "were expected");
    assert!(matches!(
        table().import(&encoder(), &stored(&one.project(&[2]).unwrap(), &[])),
        Err(ImportError::Columns { .. })
    ));
}
