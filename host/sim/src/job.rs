//! One process of the simulated job: it recovers, reads its logs in pieces, commits
//! when its seed says so, and ends. All decisions are the core's, all commits the
//! store's; where it goes on comes from its checkpoint alone.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use fastrand::Rng;
use speed_layer_core::account::{Account, AccountError};
use speed_layer_core::commit::{
    Codec, Epoch, Kind, OutputId, PartitionClock, PartitionProgress as StoredPartition, Progress,
    PublishEntry,
};
use speed_layer_core::watermark::{PartitionFacts, PartitionProgress, job_clock};
use speed_layer_store::letters::{DeadLetters, LateRow, LateRows, Letter};
use speed_layer_store::{
    Checkpoint, CommitError, CommitStore, Committer, Footer, PendingCommit, Recovered, SnapshotError,
    SnapshotTask, States, recover,
};

use crate::counting::{Counting, CountingError, TOPIC};
use crate::truth::{Group, Record, Sum, Truth};

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("the core: {0}")]
    Counting(#[from] CountingError),
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Nothing damages a file in here.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("side rows: {0}")]
    Arrow(#[from] ArrowError),
}

/// How a process works.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    pub batch_records_max: usize,
    /// A batch in so many is followed by a commit.
    pub commit_one_in: u32,
    /// A commit in so many is the last one, before all is read; 0 for never.
    pub end_one_in: u32,
    /// So many hundredths of every log have arrived; there is no more to read.
    pub arrived_percent: usize,
}

/// Mostly nothing is committed before everything is read.
const ALL_AT_ONCE: u32 = 60;

impl Habits {
    pub fn draw(rng: &mut Rng, arrived_percent: usize) -> Self {
        let batch_records_max = if rng.bool() { rng.usize(1..4) } else { rng.usize(4..25) };
        Self {
            batch_records_max,
            commit_one_in: if rng.u8(..4) == 0 { ALL_AT_ONCE } else { rng.u32(1..5) },
            end_one_in: [0, 0, 3, 8][rng.usize(..4)],
            arrived_percent,
        }
    }
}

/// Where a process says what it has made durable.
pub trait Witness {
    /// Everything of this epoch and those before it is published, for good.
    fn durable(&self, through: Epoch);
}

/// A process between its start and its end.
struct Job<'a, S: CommitStore> {
    truth: &'a Truth,
    /// What there is to read, by partition.
    arrived: Vec<&'a [Record]>,
    committer: Committer<S>,
    /// Begun, and not made yet.
    snapshot: Option<SnapshotTask<S::Chain>>,
    counting: Vec<Counting>,
    clocks: Vec<PartitionProgress>,
    positions: Vec<usize>,
    account: Account,
    dead: DeadLetters,
    late: LateRows,
    unread: bool,
}

/// Runs one process to its clean end; gives what it holds open then.
///
/// # Errors
/// What ended it before.
pub fn run<S: CommitStore>(
    store: S,
    truth: &Truth,
    habits: Habits,
    rng: &mut Rng,
    witness: &impl Witness,
) -> Result<BTreeMap<Group, Sum>, JobError> {
    let mut job = Job::start(store, truth, habits.arrived_percent, witness)?;
    loop {
        if !job.read_some(habits.batch_records_max, rng)? {
            break;
        }
        if rng.u32(..habits.commit_one_in) == 0 {
            job.commit(rng, witness)?;
            if habits.end_one_in > 0 && rng.u32(..habits.end_one_in) == 0 {
                break;
            }
        }
    }
    if job.unread {
        job.commit(rng, witness)?;
    }
    job.end(witness)
}

impl<'a, S: CommitStore> Job<'a, S> {
    fn start(
        store: S,
        truth: &'a Truth,
        arrived_percent: usize,
        witness: &impl Witness,
    ) -> Result<Self, JobError> {
        let Recovered { committer, checkpoint, .. } = recover(store)?;
        let counting = truth.aggregates.iter().map(|what| Counting::new(*what)).collect::<Result<_, _>>()?;
        let mut job = Self {
            truth,
            arrived: truth.logs.iter().map(|log| &log[..log.len() * arrived_percent / 100]).collect(),
            committer,
            snapshot: None,
            counting,
            clocks: vec![PartitionProgress::default(); truth.logs.len()],
            positions: vec![0; truth.logs.len()],
            account: account(truth),
            dead: DeadLetters::default(),
            late: LateRows::default(),
            unread: false,
        };
        if let Some(checkpoint) = checkpoint {
            witness.durable(checkpoint.manifest.epoch);
            job.load(&checkpoint)?;
        }
        Ok(job)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), JobError> {
        let progress = &checkpoint.manifest.progress;
        for stored in &progress.partitions {
            let index = stored.partition as usize;
            let PartitionClock { max_event_ms, idle, last_gave_ms } = stored.clock;
            self.clocks[index] = PartitionProgress { max_event_ms, idle, last_gave_ms };
            self.positions[index] = stored.next_offset as usize;
        }
        for counting in &mut self.counting {
            if let Some(stored) = progress.aggregates.iter().find(|stored| stored.name == counting.what.name)
            {
                counting.load(stored, &checkpoint.states)?;
            }
        }
        Ok(())
    }

    /// Reads a batch of any partition that has more; `false` if none has.
    fn read_some(&mut self, records_max: usize, rng: &mut Rng) -> Result<bool, JobError> {
        let has_more = |index: &usize| self.positions[*index] < self.arrived[*index].len();
        let more: Vec<usize> = (0..self.arrived.len()).filter(has_more).collect();
        let Some(index) = rng.choice(more) else { return Ok(false) };
        let rest = &self.arrived[index][self.positions[index]..];
        self.read(index, &rest[..rng.usize(1..=records_max).min(rest.len())])?;
        Ok(true)
    }

    /// Takes in records; a malformed one divides those around it.
    fn read(&mut self, index: usize, records: &[Record]) -> Result<(), JobError> {
        for run in records.chunk_by(|one, next| !one.malformed && !next.malformed) {
            match run {
                [record] if record.malformed => self.bury(index),
                run => self.take(index, run)?,
            }
            self.positions[index] += run.len();
        }
        self.unread = true;
        self.account.records_in += records.len() as u64;
        Ok(())
    }

    fn bury(&mut self, index: usize) {
        let offset = self.positions[index] as i64;
        self.dead.push(&letter(index as i32, offset, self.committer.epoch()));
        self.account.dead_lettered.parse += 1;
    }

    fn take(&mut self, index: usize, records: &[Record]) -> Result<(), JobError> {
        let first = self.positions[index] as i64;
        let count = records.len() as u64;
        records.iter().for_each(|record| self.clocks[index].accepted(record.event_ms));
        self.account.records_parsed += count;
        self.account.rows_parsed += count;
        self.account.rows_offered += count;
        let taken: Vec<&Record> = records.iter().collect();
        for counting in &mut self.counting {
            let late = counting.take(index as i32, first, &taken)?;
            let account = self.account.aggregate(counting.what.name);
            account.late += late.len() as u64;
            account.aggregated += count - late.len() as u64;
            for row in late {
                let offset = first + i64::from(row);
                push_late(
                    &mut self.late,
                    counting,
                    index as i32,
                    offset,
                    taken[row as usize],
                    self.committer.epoch(),
                );
            }
        }
        Ok(())
    }

    fn commit(&mut self, rng: &mut Rng, witness: &impl Witness) -> Result<(), JobError> {
        self.look_after_snapshot(rng)?;
        let clock_ms = self.clock();
        let mut files = Vec::new();
        for index in 0..self.counting.len() {
            let output = OutputId::Aggregate(self.counting[index].what.name.to_owned());
            for closed in self.counting[index].close(clock_ms)? {
                files.push(self.stage(&output, &format!("key={}", closed.key), &closed.rows)?);
            }
        }
        if !self.dead.is_empty() {
            let rows = self.dead.take()?;
            files.push(self.stage(&OutputId::DeadLetters, "", &rows)?);
        }
        if !self.late.is_empty() {
            let rows = self.late.take()?;
            files.push(self.stage(&OutputId::Late, "", &rows)?);
        }
        std::mem::replace(&mut self.account, account(self.truth)).check()?;
        let kind = self.kind(rng);
        let (progress, states) = (self.progress(), self.states(kind)?);
        let pending = PendingCommit { progress, kind, states, files, outbox: Vec::new() };
        let committed = self.committer.commit(pending)?;
        self.unread = false;
        witness.durable(committed.epoch);
        Ok(())
    }

    fn stage(
        &mut self,
        output: &OutputId,
        below: &str,
        rows: &RecordBatch,
    ) -> Result<PublishEntry, JobError> {
        let footer = Footer {
            job: self.committer.store().job().clone(),
            epoch: self.committer.epoch(),
            generation: self.committer.generation(),
            offsets: Vec::new(),
            plugins: Vec::new(),
            closed_through_ms: None,
            clock_bound_ms: 0,
            gaps: Vec::new(),
            recipe: None,
        };
        let mut part = self.committer.begin_part(output, below, rows.schema(), Codec::Snappy)?;
        part.write(rows)?;
        Ok(self.committer.finish_part(part, &footer)?)
    }

    fn clock(&self) -> Option<i64> {
        job_clock(self.arrived.iter().enumerate().map(|(index, log)| {
            let end = log.len() as i64;
            self.clocks[index].standing(&PartitionFacts {
                position: self.positions[index] as i64,
                log_start: 0,
                last_stable_offset: end,
                high_watermark: end,
                at_end_for_ms: 0,
            })
        }))
    }

    fn progress(&self) -> Progress {
        let partition = |(index, clock): (usize, &PartitionProgress)| StoredPartition {
            topic: TOPIC.to_owned(),
            partition: index as i32,
            topic_id: None,
            leader_epoch: None,
            next_offset: self.positions[index] as i64,
            log_start_offset: None,
            stable_offset: None,
            clock: PartitionClock {
                max_event_ms: clock.max_event_ms,
                idle: clock.idle,
                last_gave_ms: clock.last_gave_ms,
            },
        };
        Progress {
            partitions: self.clocks.iter().enumerate().map(partition).collect(),
            aggregates: self.counting.iter().map(Counting::progress).collect(),
            ..Progress::default()
        }
    }

    fn states(&self, kind: Kind) -> Result<States, CountingError> {
        let states = |counting: &Counting| Ok((counting.what.name.to_owned(), counting.states(kind)?));
        self.counting.iter().map(states).collect()
    }

    /// Drawn, so that short logs have long chains.
    fn kind(&self, rng: &mut Rng) -> Kind {
        if self.committer.chain().base().is_none() || rng.u8(..4) == 0 { Kind::Full } else { Kind::Delta }
    }

    /// Begins one now and then, and has it made some commits later: to the files it is
    /// the same as a thread that takes its time.
    fn look_after_snapshot(&mut self, rng: &mut Rng) -> Result<(), JobError> {
        if rng.bool() {
            return Ok(());
        }
        match self.snapshot.take() {
            None => self.snapshot = self.committer.begin_snapshot(),
            Some(task) => {
                let ended = task.make();
                if let Some(damaged) = self.committer.snapshot_ended(ended)? {
                    return Err(damaged.into());
                }
            }
        }
        Ok(())
    }

    fn end(self, witness: &impl Witness) -> Result<BTreeMap<Group, Sum>, JobError> {
        let mut open = BTreeMap::new();
        for counting in &self.counting {
            open.extend(counting.open()?);
        }
        if let Some(committed) = self.committer.close_clean()? {
            witness.durable(committed.epoch);
        }
        Ok(open)
    }
}

fn account(truth: &Truth) -> Account {
    Account::new(truth.aggregates.iter().map(|aggregate| aggregate.name))
}

fn letter(partition: i32, offset: i64, epoch: Epoch) -> Letter<'static> {
    Letter {
        topic: TOPIC,
        partition,
        offset,
        timestamp_ms: None,
        key: None,
        value: None,
        kind: "malformed",
        message: "it cannot be read",
        stage: "parse",
        aggregate: None,
        plugin_digest: None,
        epoch,
    }
}

/// The record's id goes along as its key, for whoever adds up.
fn push_late(rows: &mut LateRows, of: &Counting, partition: i32, offset: i64, record: &Record, epoch: Epoch) {
    let start_ms = Truth::group(&of.what, record).start_ms;
    let id = record.id.to_le_bytes();
    let letter = Letter {
        key: Some(&id),
        kind: "late",
        message: "its window is closed",
        stage: "aggregate",
        aggregate: Some(of.what.name),
        ..letter(partition, offset, epoch)
    };
    let window_end_ms = start_ms + of.what.window_ms;
    rows.push(&LateRow { letter, window_start_ms: start_ms, window_end_ms, late_by_ms: 0 });
}
