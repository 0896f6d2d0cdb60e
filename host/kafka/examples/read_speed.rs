//! How fast the bare source reads a topic, and in how much memory: for measuring, with
//! nothing behind it but, if wished, a worker that is busy for so long with each record,
//! so that the queues fill. Usage: read_speed BROKERS TOPIC [WORKERS [BUSY_NS]]
//! [PROPERTY=VALUE]...

use std::error::Error;
use std::time::{Duration, Instant};

use speed_layer_core::records::Records;
use speed_layer_kafka::source::SourceOptions;
use speed_layer_kafka::{
    ANSWER_TIMEOUT, Assignment, Broker, Connection, Feed, PollLimits, Source, SourceError,
};

const LIMITS: PollLimits = PollLimits { rows_max: 8_192, bytes_max: 4 << 20, timeout_ms: 100 };

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, rest @ ..] = arguments.as_slice() else {
        return Err("usage: read_speed BROKERS TOPIC [WORKERS [BUSY_NS]] [PROPERTY=VALUE]...".into());
    };
    let mut numbers = rest.iter().filter_map(|text| text.parse().ok());
    let (workers, busy_ns) = (numbers.next().unwrap_or(2), numbers.next().unwrap_or(0));
    let pairs = rest.iter().filter_map(|text| text.split_once('='));
    let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let connection = Connection::new(brokers, owned)?;

    let began = Instant::now();
    let facts = Broker::new(&connection, ANSWER_TIMEOUT)?.topic_facts(topic)?;
    println!("facts after {} ms: id {:?}, {:?}", began.elapsed().as_millis(), facts.id, facts.partitions);
    let bounded = |one: &speed_layer_kafka::PartitionFacts| Assignment {
        end_offset: Some(one.last_stable),
        ..Assignment::open(one.partition, one.log_start)
    };
    let assignments: Vec<_> = facts.partitions.iter().map(bounded).collect();
    let options = SourceOptions { workers, wants_headers: false };
    let began = Instant::now();
    let (_source, feeds) = Source::start(&connection, "read-speed", topic, &assignments, options)?;
    let totals = read_on_threads(feeds, busy_ns)?;
    report(began.elapsed(), totals);
    Ok(())
}

/// Records, bytes and batches.
type Totals = (usize, usize, usize);

fn read_on_threads(feeds: Vec<Feed>, busy_ns: usize) -> Result<Totals, SourceError> {
    let threads: Vec<_> =
        feeds.into_iter().map(|feed| std::thread::spawn(move || read(feed, busy_ns))).collect();
    threads.into_iter().try_fold((0, 0, 0), |sum, thread| match thread.join() {
        Ok(totals) => totals.map(|add| (sum.0 + add.0, sum.1 + add.1, sum.2 + add.2)),
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn read(mut feed: Feed, busy_ns: usize) -> Result<Totals, SourceError> {
    let mut totals = (0, 0, 0);
    let mut records = Records::default();
    while !feed.is_at_end() {
        feed.poll(&mut records, &LIMITS)?;
        if let Some(loss) = feed.take_losses().pop() {
            return Err(loss);
        }
        be_busy(Duration::from_nanos((records.len() * busy_ns) as u64));
        totals.0 += records.len();
        totals.1 += records.payload_bytes();
        totals.2 += usize::from(!records.is_empty());
    }
    Ok(totals)
}

fn be_busy(span: Duration) {
    let began = Instant::now();
    while began.elapsed() < span {
        std::hint::spin_loop();
    }
}

fn report(took: Duration, (records, bytes, batches): Totals) {
    let seconds = took.as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: not known here");
    let per_s = records as f64 / seconds;
    println!(
        "{records} records, {bytes} bytes, {batches} batches in {seconds:.2} s: {per_s:.0} records/s; {peak}"
    );
}
