//! Plugins that fail on single rows: those become dead letters, and everything else comes
//! out as if they had not been.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use speed_layer_core::account::Account;
use speed_layer_store::published::parquet_files;

use super::memory::{self, MemoryTopic, Tick};
use super::recomputed::{published, recompute};
use super::{DAY_MS, START_MS, open, run, spec};
use crate::config::{JobSpec, StageSpec};
use crate::job::JobHandle;

pub const TRAP: f64 = 1_000_001.25;
const LOOP: f64 = 1_000_002.25;
const HOARD: f64 = 1_000_003.25;
const MISCOUNT: f64 = 1_000_004.25;

/// The stage that fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Where {
    Parse,
    Transform,
    Aggregate,
}

/// The job with a plugin that stumbles over those prices.
fn stumbling(folder: &Path, at: Where) -> JobSpec {
    let mut spec = spec(folder, Some(1_000));
    spec.limits.call_cpu_ms = 60;
    spec.limits.memory_bytes_max = 64 << 20;
    match at {
        Where::Parse => spec.parse.plugin = guest("poison_parse.wasm"),
        Where::Transform => spec.transforms.push(stage_of(guest("poison_transform.wasm"))),
        Where::Aggregate => {
            let file = folder.join("stumbling.wasm");
            std::fs::write(&file, stumbling_aggregate()).unwrap();
            spec.aggregates[0].stage.plugin = file;
        }
    }
    spec
}

/// A stage without settings.
pub fn stage_of(plugin: PathBuf) -> StageSpec {
    StageSpec { plugin, config: serde_json::Map::new() }
}

fn guest(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/test-plugins").join(name)
}

/// The guest of a stage, up to a mischief. It reads what it is up to from a text in its component.
pub fn up_to(at: Where, mischief: &str) -> Vec<u8> {
    let name = match at {
        Where::Parse => "poison_parse.wasm",
        Where::Transform => "poison_transform.wasm",
        Where::Aggregate => "naughty.wasm",
    };
    let mut component = std::fs::read(guest(name)).unwrap();
    let built = b"nothing update ";
    let place = component.windows(built.len()).position(|bytes| bytes == built).unwrap();
    let text = format!("{mischief:40}");
    component[place..place + text.len()].copy_from_slice(text.as_bytes());
    component
}

/// `ohlcv`, but for the prices that it stumbles over.
pub fn stumbling_aggregate() -> Vec<u8> {
    up_to(Where::Aggregate, "stumble update")
}

pub fn refused(account: &Account, at: Where) -> u64 {
    match at {
        Where::Parse => account.dead_lettered.parse,
        Where::Transform => account.dead_lettered.transform,
        Where::Aggregate => account.aggregates["daily"].dead_lettered,
    }
}

/// Kinds of the dead letters by offset; all in one partition.
pub fn letters(spec: &JobSpec) -> BTreeMap<i64, String> {
    let folder = spec.aggregates[0].output.with_file_name("daily.dead-letters");
    let mut letters = BTreeMap::new();
    for file in parquet_files(&folder).unwrap() {
        let file = std::fs::File::open(file).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let offsets = batch.column_by_name("offset").unwrap().as_primitive::<Int64Type>().clone();
            let kinds = batch.column_by_name("kind").unwrap().as_string::<i32>().clone();
            letters.extend((0..kinds.len()).map(|row| (offsets.value(row), kinds.value(row).to_owned())));
        }
    }
    letters
}

/// `poison` are the places of prices that the plugin stumbles over.
fn check(at: Where, poison: &[(usize, f64)], kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let spec = stumbling(folder.path(), at);
    let mut ticks = memory::jittered_ticks(7, 3_000, 5, 3 * DAY_MS, START_MS);
    ticks.iter_mut().for_each(|tick| tick.partition = 0);
    let is_poison = |place: usize| poison.iter().any(|(poisoned, _)| *poisoned == place);
    let honest: Vec<Tick> =
        (0..).zip(&ticks).filter(|(place, _)| !is_poison(*place)).map(|(_, tick)| tick.clone()).collect();
    for (place, price) in poison {
        // A group of its own, which must not come out without a row.
        ticks[*place].symbol = format!("P{place}");
        ticks[*place].price = *price;
    }
    let (mut topic, mut clean) = (MemoryTopic::new(1), MemoryTopic::new(1));
    topic.append(&ticks);
    clean.append(&honest);
    let account = run(&spec, &topic, 1).account;
    account.check().unwrap();
    assert_eq!(account.records_in, 3_000);
    assert_eq!(refused(&account, at), poison.len() as u64, "{at:?} {kind}");
    let expected = recompute(&honest, &clean, DAY_MS, 3_600_000);
    assert!(!expected.is_empty());
    assert_eq!(published(&spec.aggregates[0].output), expected, "{at:?} {kind}");
    let told = poison.iter().map(|(place, _)| (*place as i64, kind.to_owned())).collect();
    assert_eq!(letters(&spec), told, "{at:?}");
}

#[test]
fn rows_that_a_plugin_traps_on_become_dead_letters_and_the_rest_goes_through() {
    let poison = [(0, TRAP), (1, TRAP), (700, TRAP), (999, TRAP), (1_000, TRAP), (2_400, TRAP)];
    for at in [Where::Parse, Where::Transform, Where::Aggregate] {
        check(at, &poison, "plugin-trapped");
    }
}

#[test]
fn so_do_rows_on_which_it_breaks_the_contract() {
    for at in [Where::Parse, Where::Transform, Where::Aggregate] {
        check(at, &[(5, MISCOUNT), (1_500, MISCOUNT)], "plugin-broke-contract");
    }
}

#[test]
fn so_do_rows_on_which_it_never_ends_or_takes_all_memory() {
    for at in [Where::Parse, Where::Transform, Where::Aggregate] {
        check(at, &[(1_300, LOOP)], "plugin-overran");
        check(at, &[(1_300, HOARD)], "plugin-over-limit");
    }
}

#[test]
fn a_plugin_that_fails_on_too_many_rows_stops_the_job_before_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = stumbling(folder.path(), Where::Transform);
    let mut ticks = memory::jittered_ticks(7, 2_000, 5, 3 * DAY_MS, START_MS);
    ticks[1_000..1_300].iter_mut().for_each(|tick| tick.price = TRAP);
    let mut topic = MemoryTopic::new(1);
    topic.append(&ticks);
    let stopped = open(&spec, &topic, 1).run(&JobHandle::default(), &mut |_| {}).unwrap_err();
    let told = format!("{stopped:#}");
    assert!(told.contains("poison_share_max") && told.contains("offsets 1000 to 1999"), "{told}");
    assert!(letters(&spec).is_empty());
    // What was committed before stays, and the job goes on there when more is allowed.
    spec.poison.share_max = 0.5;
    let account = run(&spec, &topic, 1).account;
    assert_eq!((account.records_in, account.dead_lettered.transform), (1_000, 300));
    assert_eq!(letters(&spec).len(), 300);
}
