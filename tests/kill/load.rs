//! A round under load: records are produced while the job runs, and it is killed at random moments, which no
//! failpoint has chosen, until all are there.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use fastrand::Rng;
use speed_layer_tests::kafka::Broker;
use speed_layer_tests::ticks::Placed;

use crate::field::Field;
use crate::program::{End, Job, LIMIT, ended};
use crate::records::{PARTITIONS, Truth, records};

const ROWS: usize = 12_000;
/// So many every so often: 12,000 a second.
const ROWS_AT_ONCE: usize = 600;
const PACE: Duration = Duration::from_millis(50);
/// From a start to its kill, at most: as long as a start and some commits.
const LIFE_MS_MAX: u64 = 700;

/// Plays the round.
///
/// # Errors
/// A rule is broken.
pub fn play(field: &mut Field, name: &str, rng: &mut Rng) -> Result<()> {
    let records = records(ROWS, rng.u64(..));
    let topic = name.to_owned();
    field.broker.create_topic(&topic, PARTITIONS, &[])?;
    let job = field.job_over(name, &topic)?;
    field.readers.begin(&job.folder)?;
    let trigger = if rng.bool() { "continuous" } else { "50ms" };
    let broker = field.broker;
    thread::scope(|scope| {
        let producer = scope.spawn(|| produce(broker, &topic, &records));
        while !producer.is_finished() {
            kill_sometime(field, &job, trigger, rng)?;
        }
        producer.join().map_err(|_| anyhow!("the producer panicked"))?
    })?;
    job.complete()?;
    field.judge(job, &Truth::of(&records))?;
    field.broker.delete_topic(&topic).context("the round is over, but")
}

/// Writes all, at the pace of a producer that has them one after the other.
fn produce(broker: &Broker, topic: &str, records: &[Placed]) -> Result<()> {
    let paced = records.iter().enumerate().map(|(index, record)| {
        if index.is_multiple_of(ROWS_AT_ONCE) {
            thread::sleep(PACE);
        }
        record.to_record()
    });
    broker.produce(topic, "gzip", paced).map(|_| ())
}

/// The moment is drawn, not awaited: that is the point of it.
fn kill_sometime(field: &mut Field, job: &Job, trigger: &str, rng: &mut Rng) -> Result<()> {
    let running = job.start(trigger, None)?;
    thread::sleep(Duration::from_millis(rng.u64(0..=LIFE_MS_MAX)));
    running.signal("KILL")?;
    let end = ended(running.finish(LIMIT)?)?;
    if let End::Done(summary) = end {
        bail!("a run without an end has ended: {summary}");
    }
    field.was_killed(&end);
    field.readers.look().map(|_| ())
}
