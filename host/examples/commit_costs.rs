//! What a commit costs with few and with many groups open, when it changed a thousand of them; and how long a
//! start takes with many. The program's own committer, stages and plugins over the real disk; the records are
//! made here. `cargo run --release --example commit_costs -- [COMMITS [FOLDER]]`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use speed_layer::inside::{
    Beginnings, EpochCommit, EpochContext, JobHandle, JobSpec, Opened, Planned, RecordFeed, RunFlags,
    Started, load, store,
};
use speed_layer_core::records::{Records, TimestampKind};
use speed_layer_kafka::{PartitionFacts, PollLimits, PollOutcome, Position, TopicFacts};

/// Groups that every commit changes.
const TOUCHED: usize = 1_000;
const SYMBOLS: usize = 1_000;
const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_761_955_200_000;
const BATCH: usize = 8_192;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let commits = arguments.first().map_or(Ok(300), |text| text.parse()).context("how many commits")?;
    let parent = arguments.get(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let few = measure(&parent, TOUCHED, commits)?;
    let many = measure(&parent, 100_000, commits)?;
    println!("p99 with 100,000 open groups is {:.1} times that with {TOUCHED}", many / few);
    Ok(())
}

/// Prints a case's figures; gives the 99th percentile of its commits, milliseconds.
fn measure(parent: &Path, open_groups: usize, commits: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(parent)?;
    let spec = spec(folder.path())?;
    let mut job = Job::open(&spec)?;
    job.commit((0..open_groups).collect())?;
    let mut random = fastrand::Rng::with_seed(7);
    let written_before = written_bytes()?;
    let mut took_ms: Vec<f64> = Vec::new();
    for _ in 0..commits {
        let touched = (0..TOUCHED).map(|_| random.usize(..open_groups)).collect();
        took_ms.push(job.commit(touched)?.as_secs_f64() * 1000.0);
    }
    let written = (written_bytes()? - written_before) / commits as u64;
    drop(job);
    let began = Instant::now();
    drop(Job::open(&spec)?);
    let start_ms = began.elapsed().as_millis();
    took_ms.sort_by(f64::total_cmp);
    let at = |share: f64| took_ms[((took_ms.len() - 1) as f64 * share).round() as usize];
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    println!(
        "{}",
        json!({
            "open_groups": open_groups, "touched": TOUCHED, "commits": commits, "p50_ms": p50, "p99_ms": p99,
            "max_ms": max, "bytes_a_commit": written, "start_ms": start_ms,
        })
    );
    Ok(p99)
}

/// Hourly windows that stay open for a year.
fn spec(folder: &Path) -> anyhow::Result<JobSpec> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
    Ok(load(RunFlags {
        brokers: Some("none".into()),
        topic: Some("ticks".into()),
        parse: Some(plugins.join("ticker_json.wasm")),
        transform: vec![plugins.join("ticker_time.wasm")],
        aggregate: Some(plugins.join("ohlcv.wasm")),
        window: Some("1h".into()),
        watermark: Some("365d".into()),
        output: Some(folder.join("hourly")),
        checkpoint: Some(folder.join("checkpoint")),
        ..RunFlags::default()
    })?)
}

/// The job with one worker, which this program drives by itself.
struct Job<'a> {
    opened: Opened<'a, NoFeed>,
    epoch: EpochContext,
    next_offset: i64,
}

impl<'a> Job<'a> {
    /// Back where it was, with plugins and all; ready for the first record.
    fn open(spec: &'a JobSpec) -> anyhow::Result<Self> {
        let all = PartitionFacts {
            partition: 0,
            log_start: 0,
            last_stable: i64::MAX,
            high_watermark: i64::MAX,
            leader_epoch: None,
        };
        let facts = TopicFacts { topic: spec.source.topic.clone(), id: None, partitions: vec![all] };
        let taken = Planned::of(spec, store(spec)?)?.take(None)?;
        let (beginnings, stop) = (Beginnings::at_log_start(&facts), JobHandle::default());
        let opened = taken.assemble(&facts, &beginnings, &stop, |_, _| {
            Ok(Started { source: None, lookout: None, feeds: vec![NoFeed] })
        })?;
        let epoch = EpochContext::clone(&opened.epoch);
        Ok(Self { opened, epoch, next_offset: 0 })
    }

    /// Folds one record of each of these groups, then commits; how long the commit took.
    fn commit(&mut self, groups: Vec<usize>) -> anyhow::Result<Duration> {
        let (worker, _) = self.opened.workers.first_mut().context("one worker")?;
        for batch in groups.chunks(BATCH) {
            worker.chain.process(&self.epoch, &records(batch, self.next_offset))?;
            self.next_offset += batch.len() as i64;
        }
        let partial = worker.chain.cut();
        let clocks = self.epoch.aggregates.clone();
        let began = Instant::now();
        let folded = self.opened.commits.fold(&self.epoch, vec![partial], &clocks)?;
        self.opened.commits.seal(&self.epoch, folded, &clocks, &self.opened.partitions)?;
        self.epoch.epoch += 1;
        Ok(began.elapsed())
    }
}

/// One tick of each group: a symbol in an hour.
fn records(groups: &[usize], first_offset: i64) -> Records {
    let mut records = Records { timestamp_kind: TimestampKind::CreateTime, ..Records::default() };
    for (group, offset) in groups.iter().zip(first_offset..) {
        let (symbol, hour) = (group % SYMBOLS, (group / SYMBOLS) as i64);
        let event_time = START_MS + hour * HOUR_MS + offset % HOUR_MS;
        let tick = format!(
            r#"{{"symbol":"S{symbol:05}","event_time":{event_time},"price":1.5,"open":1.25,"high":2.5,"low":1.0,"volume":1.5,"quote_volume":3.0,"number_trades":2}}"#
        );
        records.partitions.push(0);
        records.offsets.push(offset);
        records.timestamps_ms.push(event_time);
        records.keys.push(None);
        records.values.push(Some(tick.as_bytes()));
    }
    records
}

/// Nothing is read: the records are given to the stages directly.
struct NoFeed;

impl RecordFeed for NoFeed {
    fn poll(&mut self, _: &mut Records, _: &PollLimits) -> anyhow::Result<PollOutcome> {
        Ok(PollOutcome { records: 0, moved: false })
    }

    fn positions(&self) -> Vec<Position> {
        Vec::new()
    }

    fn pause(&mut self, _: &[i32]) -> anyhow::Result<()> {
        Ok(())
    }

    fn resume(&mut self, _: &[i32]) -> anyhow::Result<()> {
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        false
    }
}

/// What this process has written so far, to files and elsewhere.
fn written_bytes() -> anyhow::Result<u64> {
    let io = std::fs::read_to_string("/proc/self/io").context("the kernel does not count what is written")?;
    let count =
        io.lines().find_map(|line| line.strip_prefix("wchar: ")).context("no count of written bytes")?;
    Ok(count.trim().parse()?)
}
