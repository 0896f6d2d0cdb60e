//! `host import-spark-checkpoint`: the first commit of a job, from where a job of Spark's stands.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Map, Value, json};
use tracing::info;

use super::signals::stop_on_signals;
use crate::config::{self, JobSpec, RunFlags};
use crate::job::{self, JobHandle, Standpoint};
use crate::spark::SparkCheckpoint;
use crate::times;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host import-spark-checkpoint /data/spark/checkpoint/daily pipeline.toml && host run pipeline.toml
  host import-spark-checkpoint checkpoint/daily pipeline.toml --spark-output streaming_output/daily
  host import-spark-checkpoint checkpoint/daily pipeline.toml --rebuild-from 2026-01-31T00:00:00Z

The pipeline is to read the same topic, and to write to outputs of its own. Nothing of Spark's is changed. \
It takes the flags of `host run`, and prints what was taken over as a line of JSON. \
Exit code 1: it was not taken over, and nothing was committed.")]
pub struct ImportArgs {
    /// The checkpoint folder (checkpointLocation) of the Spark job, which has to be stopped
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where the Spark job's file sink writes; asked where its last batch was not committed
    #[arg(long, value_name = "DIR")]
    spark_output: Option<PathBuf>,
    /// Read the topic again from this time of its records on, RFC 3339, when you know that older ones have no row of a
    /// window that is open [default: all that the Spark job has read]
    #[arg(long, value_name = "TIME")]
    rebuild_from: Option<DateTime<Utc>>,
    #[command(flatten)]
    flags: RunFlags,
}

pub fn run(args: ImportArgs) -> anyhow::Result<()> {
    let spark = SparkCheckpoint::read(&args.dir)?;
    spark.check_ended(args.spark_output.as_deref())?;
    let spec = JobSpec { compile_apart: true, ..config::load(args.flags)? };
    let stop = JobHandle::default();
    stop_on_signals(stop.clone(), "the job is not taken over")?;
    let SparkCheckpoint { batch, topic, read, closed_through_ms, watermark_ms, .. } = spark;
    let [closed_through, watermark] = [closed_through_ms, watermark_ms].map(|ms| ms.and_then(times::rfc3339));
    info!(batch, topic, watermark = watermark.as_deref(), "taking over the Spark job");
    let rebuild_from_ms = args.rebuild_from.map(|time| time.timestamp_millis());
    let standpoint = Standpoint { topic, read, closed_through_ms, watermark_ms, rebuild_from_ms };
    let adopted = job::adopt(&spec, &standpoint, &stop)?;
    let groups: Map<String, Value> =
        adopted.groups.iter().map(|(name, groups)| (name.clone(), json!(groups))).collect();
    let next: Map<String, Value> =
        adopted.next_offsets.iter().map(|(partition, next)| (partition.to_string(), json!(next))).collect();
    let line = json!({
        "job": spec.name,
        "epoch": adopted.epoch,
        "spark_batch": batch,
        "closed_through": closed_through,
        "watermark": watermark,
        "records_read_again": adopted.records,
        "open_groups": groups,
        "windows_out": adopted.windows,
        "files": adopted.files,
        "next_offsets": next,
    });
    writeln!(std::io::stdout(), "{line}").context("the summary cannot be written to stdout")
}
