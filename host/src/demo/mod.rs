//! The whole line on a Kafka inside this process: produces some days of ticks while
//! the real pipeline reads them, shows how it gets on, and prints what came out. The
//! cluster keeps little, so the producer never runs far ahead of the job.

mod show;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use speed_layer_kafka::{Connection, MockKafka, Producer};

use crate::config::{self, JobSpec, RunFlags};
use crate::job::{self, JobHandle, Progress};
use crate::produce::synthetic::{TickPlan, Ticks, symbol_names};
use crate::produce::{Message, Messages};

const TOPIC: &str = "crypto-prices";
const TICKS_A_DAY: u64 = 40_000;
/// Ticks that the producer may be ahead of the last commit: well under what the
/// in-process cluster keeps.
const AHEAD_MAX: u64 = 10_000;
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the demonstration is to show.
#[derive(Debug)]
pub struct Demo {
    pub plugins: Option<PathBuf>,
    pub days: u32,
    pub symbols: usize,
    pub folder: Option<PathBuf>,
}

/// Runs it, printing to stdout.
///
/// # Errors
/// A plugin that is not built, or whatever the pipeline fails with.
pub fn run(demo: &Demo) -> anyhow::Result<()> {
    let plugins = find_plugins(demo.plugins.as_deref())?;
    let folder = new_folder(demo.folder.as_deref())?;
    let kafka = MockKafka::start(1)?;
    kafka.create_topic(TOPIC, 2)?;
    let spec = spec(&plugins, &folder, kafka.brokers())?;
    let count = TICKS_A_DAY * u64::from(demo.days);
    say(&format!(
        "A Kafka inside this process, topic {TOPIC}, 2 partitions: {count} ticks of {} symbols over {} days.",
        demo.symbols, demo.days
    ))?;
    let summary = stream(demo, &spec, count)?;
    say(&show::closed_windows(&folder.join("daily"))?)?;
    say(&format!("Summary: {}", summary.to_json()))?;
    say(&format!("The Parquet files are in {}", folder.join("daily").display()))
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("stdout cannot be written to")
}

/// Produces on a thread of its own while the job runs on this one.
fn stream(demo: &Demo, spec: &JobSpec, count: u64) -> anyhow::Result<job::Summary> {
    let stop = JobHandle::default();
    let committed = Arc::new(AtomicU64::new(0));
    let producer = {
        let (brokers, committed, stop) = (spec.source.brokers.clone(), Arc::clone(&committed), stop.clone());
        let plan = ticks(demo, count);
        thread::Builder::new().name("producer".into()).spawn(move || {
            let produced = produce(&brokers, plan, &committed, &stop);
            if produced.is_err() {
                stop.stop();
            }
            produced
        })?
    };
    let mut shown = show::Line::new(count);
    let outcome = job::run(spec, &stop, &mut |progress: &Progress| {
        committed.store(progress.records_in, Ordering::SeqCst);
        shown.show(progress);
        if progress.records_in >= count {
            stop.stop();
        }
    });
    stop.stop();
    shown.end();
    let produced =
        producer.join().map_err(|_| anyhow::anyhow!("the producer met a fault of the host itself"))?;
    let summary = outcome?;
    produced?;
    Ok(summary)
}

fn ticks(demo: &Demo, count: u64) -> TickPlan {
    let spread_ms = i64::from(demo.days) * 86_400_000;
    let today = chrono::Utc::now().date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let start_ms = today.timestamp_millis() - spread_ms;
    TickPlan { symbols: symbol_names(demo.symbols), seed: 7, count, start_ms, spread_ms: Some(spread_ms) }
}

fn produce(brokers: &str, plan: TickPlan, committed: &AtomicU64, stop: &JobHandle) -> anyhow::Result<()> {
    let connection = Connection::new(brokers, [])?;
    let mut producer = Producer::new(&connection, TOPIC, DELIVERY_TIMEOUT)?;
    let mut ticks = Ticks::new(plan);
    let mut message = Message::default();
    let mut sent = 0;
    while ticks.next(&mut message)? {
        let record = speed_layer_kafka::Message {
            key: Some(&message.key),
            value: Some(&message.value),
            ..Default::default()
        };
        producer.produce(&record)?;
        sent += 1;
        while sent > committed.load(Ordering::SeqCst) + AHEAD_MAX {
            if stop.is_asked() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    producer.finish()?;
    Ok(())
}

/// The crypto job with short triggers, as flags would describe it.
fn spec(plugins: &Path, folder: &Path, brokers: String) -> anyhow::Result<JobSpec> {
    let flags = RunFlags {
        brokers: Some(brokers),
        topic: Some(TOPIC.into()),
        parse: Some(plugins.join("ticker_json.wasm")),
        transform: vec![plugins.join("ticker_time.wasm")],
        aggregate: Some(plugins.join("ohlcv.wasm")),
        output: Some(folder.join("daily")),
        checkpoint: Some(folder.join("checkpoint")),
        trigger: Some("100ms".into()),
        ..RunFlags::default()
    };
    Ok(config::load(flags)?)
}

fn find_plugins(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("plugins")));
    let candidates = match given {
        Some(folder) => vec![folder.to_owned()],
        None => [Some(PathBuf::from("target/plugins")), beside].into_iter().flatten().collect(),
    };
    match candidates.iter().find(|folder| folder.join("ohlcv.wasm").is_file()) {
        Some(folder) => Ok(folder.clone()),
        None => {
            let looked = candidates.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
            bail!(
                "there are no built plugins in {}; run `cargo xtask build`, or name their folder with --plugins",
                looked.join(" or ")
            )
        }
    }
}

/// A folder of its own, so that nothing of an earlier run is in the way.
fn new_folder(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = match given {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!(
            "speed-layer-demo-{}-{}",
            std::process::id(),
            chrono::Utc::now().timestamp()
        )),
    };
    if folder.exists() {
        bail!("{} exists; name a folder that does not exist yet", folder.display());
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}
