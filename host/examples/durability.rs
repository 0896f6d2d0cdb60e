//! What durability costs: the same job over the same topic, in turn with its syncs and with a file layer that
//! leaves them out, for so long each; prints records a second, how long the syncs took, and at the end the
//! median ratio. The stream goes on while a commit syncs: of the time in syncs, a part at most is lost.
//!
//! The program itself has no such switch. `cargo run --release --example durability -- --help`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use serde_json::json;
use speed_layer::inside::{JobSpec, RunFlags, StopHandle, load, run_over, store_over};
use speed_layer_kafka::{Broker, Connection};
use speed_layer_store::DiskLayer;
use speed_layer_store::layer::{Entry, FileLayer, LayerDir, LayerFile, LockAttempt, Owner, Stat};

/// Runs a job in turn with and without syncs, and compares how fast it is.
#[derive(Parser)]
struct Arguments {
    /// How many runs of each kind
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    /// How long each run takes in records; the topic must last as long
    #[arg(long, default_value_t = 35)]
    seconds: u64,
    /// Where the figures are written as JSON as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The job, as `host run` is given it; output and checkpoint are emptied before every run
    #[command(flatten)]
    job: RunFlags,
}

/// One run's figures.
struct Run {
    records: u64,
    commits: u64,
    records_per_s: f64,
    /// Of the time from the first record to the last commit.
    syncs_share: f64,
}

fn main() -> anyhow::Result<()> {
    let Arguments { pairs, seconds, json, job } = Arguments::parse();
    let spec = load(job)?;
    ensure!(
        pairs > 0 && !spec.trigger.is_bounded(),
        "give at least one pair, and an interval as the trigger"
    );
    let records_there = records_there(&spec)?;
    let run = |durable| run(&spec, durable, Duration::from_secs(seconds), records_there);
    let mut lines = Vec::new();
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        // Which comes first changes, so that neither profits from the other.
        let (on, off) = if pair % 2 == 0 {
            let on = run(true)?;
            (on, run(false)?)
        } else {
            let off = run(false)?;
            (run(true)?, off)
        };
        let ratio = on.records_per_s / off.records_per_s;
        println!(
            "pair {}: durable {}, without syncs {}; ratio {ratio:.3}; {:.2} % of the time in syncs",
            pair + 1,
            on.told(),
            off.told(),
            on.syncs_share * 100.0
        );
        lines.push(json!({
            "durable": on.records_per_s, "without_syncs": off.records_per_s, "ratio": ratio,
            "syncs_share": on.syncs_share,
        }));
        ratios.push(ratio);
    }
    let median = median(&mut ratios);
    println!("median ratio of {pairs} pairs: {median:.4}; durability costs {:.2} %", (1.0 - median) * 100.0);
    if let Some(path) = json {
        let figures = json!({ "seconds": seconds, "pairs": lines, "median_ratio": median });
        std::fs::write(&path, format!("{figures:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

impl Run {
    fn told(&self) -> String {
        format!("{:.0} records/s ({} in {} commits)", self.records_per_s, self.records, self.commits)
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn records_there(spec: &JobSpec) -> anyhow::Result<u64> {
    let connection = Connection::new(&spec.source.brokers, spec.source.properties.clone())?;
    let facts = Broker::new(&connection, Duration::from_secs(10))?.topic_facts(&spec.source.topic)?;
    Ok(facts.partitions.iter().map(|of| (of.last_stable - of.log_start).unsigned_abs()).sum())
}

fn run(spec: &JobSpec, durable: bool, limit: Duration, records_there: u64) -> anyhow::Result<Run> {
    empty(spec)?;
    // What earlier runs have left in memory is no burden of this one.
    rustix::fs::sync();
    let stop = StopHandle::default();
    let timer = stop.clone();
    thread::spawn(move || {
        thread::sleep(limit);
        timer.stop();
    });
    let syncs = Syncs { happen: durable, took_us: Arc::default() };
    let layer = Watched { inner: DiskLayer, syncs: syncs.clone() };
    let summary = run_over(spec, store_over(layer, spec)?, &stop, &mut |_| {})?;
    let records = summary.account.records_in;
    if records >= records_there {
        bail!(
            "the topic has only {records_there} records, which were read before the time was over; give --seconds less or a longer topic"
        );
    }
    let ms = summary.running_ms.context("nothing was committed")?;
    let records_per_s = records as f64 * 1000.0 / ms as f64;
    let syncs_share = syncs.took_us.load(Ordering::Relaxed) as f64 / 1000.0 / ms as f64;
    Ok(Run { records, commits: summary.commits, records_per_s, syncs_share })
}

/// Removes what the last run left.
fn empty(spec: &JobSpec) -> anyhow::Result<()> {
    let mut places = vec![spec.checkpoint.join(&spec.name)];
    for aggregate in &spec.aggregates {
        let beside = |end: &str| PathBuf::from(format!("{}{end}", aggregate.output.display()));
        places.extend(["", ".staging", ".dead-letters", ".late"].map(beside));
    }
    for place in places.iter().filter(|place| place.exists()) {
        std::fs::remove_dir_all(place).with_context(|| format!("cannot empty {}", place.display()))?;
    }
    Ok(())
}

/// Whether syncs happen, and how long they took.
#[derive(Clone)]
struct Syncs {
    happen: bool,
    took_us: Arc<AtomicU64>,
}

impl Syncs {
    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if !self.happen {
            return Ok(());
        }
        let began = Instant::now();
        let outcome = sync();
        self.took_us.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        outcome
    }
}

/// A layer, or what it has opened, whose syncs are timed or left out.
#[derive(Clone)]
struct Watched<T> {
    inner: T,
    syncs: Syncs,
}

impl<T> Watched<T> {
    fn with<U>(&self, inner: U) -> Watched<U> {
        Watched { inner, syncs: self.syncs.clone() }
    }
}

impl<T: Write> Write for Watched<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: LayerFile> LayerFile for Watched<T> {
    fn sync(&mut self) -> io::Result<()> {
        self.syncs.sync(|| self.inner.sync())
    }
}

impl<T: LayerDir> LayerDir for Watched<T> {
    fn sync(&self) -> io::Result<()> {
        self.syncs.sync(|| self.inner.sync())
    }

    fn sync_file_system(&self) -> io::Result<()> {
        self.syncs.sync(|| self.inner.sync_file_system())
    }
}

impl<L: FileLayer> FileLayer for Watched<L> {
    type File = Watched<L::File>;
    type Dir = Watched<L::Dir>;
    type Reader = L::Reader;
    type Lock = L::Lock;

    fn create_new(&self, path: &Path) -> io::Result<Self::File> {
        self.inner.create_new(path).map(|file| self.with(file))
    }

    fn open(&self, path: &Path) -> io::Result<Self::Reader> {
        self.inner.open(path)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Self::Dir> {
        self.inner.open_dir(path).map(|dir| self.with(dir))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.inner.unlink(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.make_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.inner.stat(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonical(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt<Self::Lock>> {
        self.inner.lock(path)
    }

    fn probe_lock(&self, path: &Path) -> io::Result<LockAttempt<()>> {
        self.inner.probe_lock(path)
    }

    fn this_process(&self) -> Owner {
        self.inner.this_process()
    }

    fn is_running(&self, owner: Owner) -> bool {
        self.inner.is_running(owner)
    }
}
