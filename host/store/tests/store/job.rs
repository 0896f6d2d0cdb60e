//! A small job: it reads the numbers 0, 1, 2, … as offsets and publishes each of
//! them once, the even ones under `symbol=A`, the odd ones under `symbol=B`, every
//! seventh as a dead letter too. Where it goes on comes from its checkpoint alone.
//! What a reader of the output sees is then easy to judge.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use speed_layer_core::commit::{
    AggregateProgress, Codec, JobName, Kind, OutputId, PartitionClock, PartitionProgress, Progress,
    PublishEntry,
};
use speed_layer_core::group::StoredGroups;
use speed_layer_store::footer::OffsetRange;
use speed_layer_store::layer::FileLayer;
use speed_layer_store::letters::{DeadLetters, Letter, dead_letter_schema};
use speed_layer_store::{
    CommitError, CommitStore, Committed, Committer, DiskLayer, Footer, Layout, PendingCommit, PosixStore,
    States, recover,
};

pub const JOB: &str = "daily";

/// The directories of a test; gone with it.
#[derive(Clone)]
pub struct Place {
    dir: Arc<tempfile::TempDir>,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: Arc::new(tempfile::tempdir().unwrap()) }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn output(&self) -> PathBuf {
        self.path("out/daily")
    }

    pub fn staging(&self) -> PathBuf {
        self.path("out/daily.staging").join(JOB)
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.path("checkpoint").join(JOB)
    }

    pub fn checkpoint(&self, epoch: u64) -> PathBuf {
        self.checkpoints().join(format!("ckpt-{epoch:020}"))
    }

    pub fn layout(&self) -> Layout {
        let outputs = [(JOB.to_owned(), self.output())];
        Layout::new(JobName::new(JOB).unwrap(), &self.path("checkpoint"), &outputs).unwrap()
    }

    pub fn store(&self) -> PosixStore<DiskLayer> {
        PosixStore::new(DiskLayer, self.layout())
    }

    pub fn store_on<L: FileLayer>(&self, layer: L) -> PosixStore<L> {
        PosixStore::new(layer, self.layout())
    }

    /// Every path below the test's directory, with the bytes of the files.
    pub fn everything(&self) -> BTreeSet<(PathBuf, Vec<u8>)> {
        let mut found = BTreeSet::new();
        collect(self.dir.path(), &mut found);
        found
    }

    /// The numbers that a reader of the output sees. Each file must be whole, and no
    /// number may be seen twice.
    pub fn published(&self) -> BTreeSet<i64> {
        let mut numbers = BTreeSet::new();
        for path in parquet_files(&self.output()) {
            for number in read_numbers(&path) {
                assert!(numbers.insert(number), "{number} is seen twice, again in {}", path.display());
            }
        }
        numbers
    }
}

fn collect(dir: &Path, found: &mut BTreeSet<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert((path.clone(), Vec::new()));
            collect(&path, found);
        } else {
            found.insert((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
}

/// All Parquet files at or below `dir`, as `**/*.parquet` finds them.
pub fn parquet_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    if dir.exists() {
        collect(dir, &mut found);
    }
    let parquet = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
    found.into_iter().map(|(path, _)| path).filter(parquet).collect()
}

fn read_numbers(path: &Path) -> Vec<i64> {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let column = |batch: RecordBatch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().clone();
    reader.flat_map(|batch| column(batch.unwrap()).values().to_vec()).collect()
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("number", DataType::Int64, false)]))
}

pub fn numbers(values: Vec<i64>) -> RecordBatch {
    RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(values))]).unwrap()
}

pub fn output() -> OutputId {
    OutputId::Aggregate(JOB.to_owned())
}

pub fn footer<S: CommitStore>(committer: &Committer<S>, from: i64, to: i64) -> Footer {
    Footer {
        job: JobName::new(JOB).unwrap(),
        epoch: committer.epoch(),
        generation: committer.generation(),
        offsets: vec![OffsetRange { topic: "ticks".into(), partition: 0, lowest: from, cut: to }],
        plugins: Vec::new(),
        closed_through_ms: Some(to),
        clock_bound_ms: 300_000,
        gaps: Vec::new(),
        recipe: None,
    }
}

pub fn progress(next_offset: i64) -> Progress {
    let partition = PartitionProgress {
        topic: "ticks".into(),
        partition: 0,
        topic_id: None,
        leader_epoch: None,
        next_offset,
        log_start_offset: None,
        stable_offset: None,
        clock: PartitionClock::default(),
    };
    Progress { partitions: vec![partition], aggregates: vec![aggregate()], ..Progress::default() }
}

/// Stages the numbers of `from..to`.
pub fn stage<S: CommitStore>(
    committer: &mut Committer<S>,
    from: i64,
    to: i64,
) -> Result<Vec<PublishEntry>, CommitError> {
    let footer = footer(committer, from, to);
    let mut files = Vec::new();
    for (symbol, parity) in [("A", 0), ("B", 1)] {
        let rows = numbers((from..to).filter(|number| number % 2 == parity).collect());
        let directory = format!("symbol={symbol}");
        let mut part = committer.begin_part(&output(), &directory, schema(), Codec::Snappy)?;
        part.write(&rows)?;
        files.push(committer.finish_part(part, &footer)?);
    }
    files.extend(stage_dead_letters(committer, from, to, &footer)?);
    Ok(files)
}

/// Stages the numbers of `from..to` as one file, to be published in `directory`.
pub fn stage_below<S: CommitStore>(
    committer: &mut Committer<S>,
    directory: &str,
    from: i64,
    to: i64,
) -> Vec<PublishEntry> {
    let mut part = committer.begin_part(&output(), directory, schema(), Codec::Snappy).unwrap();
    part.write(&numbers((from..to).collect())).unwrap();
    let footer = footer(committer, from, to);
    vec![committer.finish_part(part, &footer).unwrap()]
}

fn stage_dead_letters<S: CommitStore>(
    committer: &mut Committer<S>,
    from: i64,
    to: i64,
    footer: &Footer,
) -> Result<Option<PublishEntry>, CommitError> {
    let mut letters = DeadLetters::default();
    let epoch = committer.epoch();
    (from..to).filter(|number| number % 7 == 0).for_each(|offset| letters.push(&letter(offset, epoch.0)));
    if letters.is_empty() {
        return Ok(None);
    }
    let mut part = committer.begin_part(&OutputId::DeadLetters, "", dead_letter_schema(), Codec::Snappy)?;
    part.write(&letters.take().unwrap())?;
    committer.finish_part(part, footer).map(Some)
}

pub fn letter(offset: i64, epoch: u64) -> Letter<'static> {
    Letter {
        topic: "ticks",
        partition: 0,
        offset,
        timestamp_ms: Some(1_700_000_000_000),
        key: None,
        value: Some(b"{"),
        kind: "malformed-json",
        message: "it ends early",
        stage: "parse",
        aggregate: None,
        plugin_digest: None,
        epoch: speed_layer_core::commit::Epoch(epoch),
    }
}

/// A commit of all states.
pub fn pending(progress: Progress, states: States, files: Vec<PublishEntry>) -> PendingCommit {
    PendingCommit { progress, kind: Kind::Full, states, files, outbox: Vec::new() }
}

fn aggregate() -> AggregateProgress {
    AggregateProgress {
        name: JOB.to_owned(),
        key: Vec::new(),
        window_ms: 1000,
        delay_ms: 0,
        keep_key_column: false,
        idle_trigger_ms: None,
        closed_through_ms: None,
        withheld_until_ms: None,
        state_version: 1,
        plugins: Vec::new(),
        moved: None,
        opened_with: None,
        held: None,
        given_up: Vec::new(),
        windows: Vec::new(),
    }
}

/// The job's states by key, each a number.
pub fn keyed(numbers: &[(&str, i64)]) -> States {
    let starts = Int64Array::from(vec![0; numbers.len()]);
    let keys = BinaryArray::from_iter_values(numbers.iter().map(|(key, _)| key));
    let values = Int64Array::from_iter_values(numbers.iter().map(|(_, number)| *number));
    let columns: [(&str, ArrayRef); 3] =
        [("window_start_us", Arc::new(starts)), ("key", Arc::new(keys)), ("number", Arc::new(values))];
    let groups = RecordBatch::try_from_iter(columns).unwrap();
    vec![(JOB.to_owned(), StoredGroups { groups: Some(groups), offsets: Vec::new() })]
}

/// One number as the job's state.
pub fn state(number: i64) -> States {
    keyed(&[("last", number)])
}

/// Commits the numbers of `from..to`; the state is the last number read. Most commits
/// write down what changed, and now and then a snapshot is made.
pub fn commit<S: CommitStore>(
    committer: &mut Committer<S>,
    from: i64,
    to: i64,
) -> Result<Committed, CommitError> {
    let files = stage(committer, from, to)?;
    let is_full = committer.chain().base().is_none() || committer.epoch().0.is_multiple_of(5);
    let kind = if is_full { Kind::Full } else { Kind::Delta };
    let committed =
        committer.commit(PendingCommit { kind, ..pending(progress(to), state(to - 1), files) })?;
    if committed.epoch.0.is_multiple_of(3) {
        snapshot(committer)?;
    }
    Ok(committed)
}

/// Makes a snapshot of the newest epoch, unless there is nothing to gain.
pub fn snapshot<S: CommitStore>(committer: &mut Committer<S>) -> Result<(), CommitError> {
    let Some(task) = committer.begin_snapshot() else { return Ok(()) };
    let damaged = committer.snapshot_ended(task.make())?;
    assert!(damaged.is_none(), "{damaged:?}");
    Ok(())
}

/// Goes on from the last checkpoint to `end`, `step` numbers a commit, and closes.
pub fn run<S: CommitStore>(store: S, end: i64, step: i64) -> Result<(), CommitError> {
    let recovered = recover(store)?;
    let mut committer = recovered.committer;
    let mut from = match &recovered.checkpoint {
        None => 0,
        Some(checkpoint) => {
            let next = checkpoint.manifest.progress.partitions[0].next_offset;
            assert_eq!(checkpoint.states, state(next - 1));
            next
        }
    };
    while from < end {
        let to = end.min(from + step);
        commit(&mut committer, from, to)?;
        from = to;
    }
    committer.close_clean().map(drop)
}
