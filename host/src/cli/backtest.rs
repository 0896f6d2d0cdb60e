//! `host backtest`: the job's plugins, or others, over a stretch of the past, compared with
//! what was published.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use speed_layer_core::commit::OffsetMark;

use super::checkpoint::{Format, plain};
use super::compared::comparison_lines;
use crate::config::{self, JobSpec, RunFlags};
use crate::job::replay::{KafkaTopic, RereadTopic};
use crate::plan::StageName;
use crate::recompute::backtest::backtest;
use crate::recompute::published::Published;
use crate::recompute::tried::{Tried, plan};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BacktestArgs {
    /// The job
    #[arg(value_name = "PIPELINE.toml")]
    pipeline: PathBuf,
    /// The output to compare with: a folder of files that a job published
    #[arg(long, value_name = "DIR")]
    against: PathBuf,
    #[arg(
        long,
        value_name = "FILE.wasm",
        help = "Another aggregate plugin; NAME=FILE.wasm where the job has several"
    )]
    aggregate: Vec<String>,
    /// Another parse plugin
    #[arg(long, value_name = "FILE.wasm")]
    parse: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE.wasm",
        help = "Another transform plugin; NUMBER=FILE.wasm where the job has several"
    )]
    transform: Vec<String>,
    #[arg(long, value_name = "STAGE.KEY=VALUE", help = "A plugin's setting, as for `host run`")]
    set: Vec<String>,
    /// Where the stretch begins: TOPIC/PARTITION@OFFSET, several with commas [default: at the first record there is]
    #[arg(long, value_name = "OFFSETS", value_delimiter = ',', value_parser = mark, conflicts_with = "from_time")]
    from_offsets: Vec<OffsetMark>,
    /// Where the stretch begins: at the first records of this time or later, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    from_time: Option<i64>,
    /// End with exit code 1 if anything differs but the last bits of floats
    #[arg(long)]
    fail_on_difference: bool,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

const EXAMPLES: &str = "Examples:
  host backtest pipeline.toml --against out/daily --aggregate daily=ohlcv_upticks.wasm
  host backtest pipeline.toml --against out/daily --transform min_price.wasm --set transform.min=100
  host backtest pipeline.toml --against out/daily --from-time 2026-01-01T00:00:00Z
  host backtest pipeline.toml --against out/daily --from-offsets ticks/0@1200,ticks/1@1180

Where no other plugin is given the job's present one is used: that of its checkpoint, else that
of the pipeline file. A plugin has the settings of the stage that it stands for. Windows that are
not wholly within the stretch, from its beginning to the end of the topic, are left out and
counted. Nothing is written, and the job may run meanwhile.

Exit code 0: it was compared; differences are a result, not a failure, but for
--fail-on-difference. 1: it could not be.";

pub fn run(args: &BacktestArgs) -> anyhow::Result<()> {
    let flags =
        RunFlags { pipeline: Some(args.pipeline.clone()), set: args.set.clone(), ..RunFlags::default() };
    let job = JobSpec { compile_apart: true, ..config::load(flags)? };
    let published = Published::below(&args.against)?;
    let job = published.job_of(job)?;
    let spec = published.spec_of(&job)?;
    let tried = args.tried(&job, &spec)?;
    let plan = Arc::new(plan(&job, &spec, &tried)?);
    let topic = KafkaTopic::of(&spec.source, &spec.name, plan.parse.reads.headers)?;
    let from = args.from(&spec, &topic)?;
    let report = backtest(&job, &spec, &published, &from, &plan, &topic)?;
    args.format.print(&json!(report), table)?;
    if args.fail_on_difference && !report.is_same() {
        bail!("what was published in {} differs from what these plugins make", args.against.display());
    }
    Ok(())
}

impl BacktestArgs {
    fn tried(&self, job: &JobSpec, spec: &JobSpec) -> anyhow::Result<Vec<Tried>> {
        let mut tried = Vec::new();
        tried.extend(self.parse.iter().map(|file| Tried { stage: StageName::Parse, file: file.clone() }));
        for text in &self.transform {
            let (number, file) = named(text, |name| name.parse::<usize>().is_ok());
            ensure!(
                number.is_some() || spec.transforms.len() == 1,
                "the job has {} transforms: say which one {file} stands for, as in 0={file}",
                spec.transforms.len()
            );
            let index = number.and_then(|number| number.parse().ok()).unwrap_or(0);
            tried.push(Tried { stage: StageName::Transform(index), file: file.into() });
        }
        for text in &self.aggregate {
            let (name, file) = named(text, |name| job.aggregates.iter().any(|of| of.name == name));
            ensure!(
                name.is_some() || job.aggregates.len() == 1,
                "the job has {} aggregates: say which one {file} stands for, as in {}={file}",
                job.aggregates.len(),
                spec.aggregates[0].name
            );
            let name = name.unwrap_or(&spec.aggregates[0].name);
            tried.push(Tried { stage: StageName::Aggregate(name.to_owned()), file: file.into() });
        }
        Ok(tried)
    }

    /// The first offset of the stretch in each partition; none for those read from their begin.
    fn from(&self, spec: &JobSpec, topic: &KafkaTopic<'_>) -> anyhow::Result<BTreeMap<i32, i64>> {
        if let Some(ms) = self.from_time {
            let now = topic.facts()?.partitions;
            let numbers: Vec<i32> = now.iter().map(|of| of.partition).collect();
            let found = topic.broker().offsets_at(&spec.source.topic, &numbers, ms)?;
            let end =
                |partition| now.iter().find(|of| of.partition == partition).map_or(0, |of| of.high_watermark);
            let begin = |(partition, offset): (i32, Option<i64>)| {
                (partition, offset.unwrap_or_else(|| end(partition)))
            };
            return Ok(found.into_iter().map(begin).collect());
        }
        let mut from = BTreeMap::new();
        for mark in &self.from_offsets {
            ensure!(
                mark.topic == spec.source.topic,
                "--from-offsets names topic {}, and the job reads {}",
                mark.topic,
                spec.source.topic
            );
            from.insert(mark.partition, mark.offset);
        }
        Ok(from)
    }
}

/// `NAME=FILE`, where what stands before the first `=` is such a name.
fn named(text: &str, is_name: impl Fn(&str) -> bool) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, file)) if is_name(name) => (Some(name), file),
        _ => (None, text),
    }
}

fn mark(text: &str) -> anyhow::Result<OffsetMark> {
    let read = || {
        let (place, offset) = text.rsplit_once('@')?;
        let (topic, partition) = place.rsplit_once('/')?;
        Some(OffsetMark {
            topic: topic.to_owned(),
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    };
    read().with_context(|| format!("`{text}` is not of the form TOPIC/PARTITION@OFFSET"))
}

fn time_ms(text: &str) -> anyhow::Result<i64> {
    let time = chrono::DateTime::parse_from_rfc3339(text);
    let time = time.with_context(|| {
        format!("`{text}` is not a time as RFC 3339 writes it, such as 2026-01-31T00:00:00Z")
    })?;
    Ok(time.timestamp_millis())
}

fn table(report: &Value) -> String {
    let mut text =
        format!("aggregate {} against {}\n", plain(&report["aggregate"]), plain(&report["against"]));
    for (stage, plugin) in report["plugins"].as_object().into_iter().flatten() {
        text += &format!("  {stage:17} {}\n", plain(plugin));
    }
    for of in items(&report["offsets"]) {
        text += &format!(
            "  {}/{}, offsets {} up to {}\n",
            plain(&of["topic"]),
            of["partition"],
            of["lowest"],
            of["cut"]
        );
    }
    let (rows, windows) = (&report["rows"], &report["windows"]);
    text += &format!(
        "records read {}; aggregated {}, filtered {}, dead letters {}\n",
        report["records_read"], rows["aggregated"], rows["filtered"], rows["dead_lettered"]
    );
    text += &format!(
        "windows: {} compared, {} of them differ, {} left out as not wholly within the stretch\n",
        windows["compared"], windows["differing"], windows["left_out"]
    );
    if report["files_left_out"] != 0 {
        text += &format!(
            "files left out, as they do not say what they are made of: {}\n",
            report["files_left_out"]
        );
    }
    text += &comparison_lines(&report["comparison"], ["published", "made now"]);
    items(&report["differing_windows"])
        .iter()
        .take(WINDOWS_SHOWN_MAX)
        .for_each(|of| text += &window_line(of));
    text
}

/// The JSON report has more of them.
const WINDOWS_SHOWN_MAX: usize = 20;

fn window_line(of: &Value) -> String {
    let columns = of["columns"].as_object().into_iter().flatten();
    let columns = columns.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
    format!(
        "window {}: differing values: {}; rows only published {}, only made now {}\n",
        plain(&of["window_start"]),
        if columns.is_empty() { "none" } else { &columns },
        of["rows_only_old"],
        of["rows_only_new"]
    )
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_anything_else_refused() {
        let found = mark("a/b@c/3@17").unwrap();
        assert_eq!(found, OffsetMark { topic: "a/b@c".into(), partition: 3, offset: 17 });
        for wrong in ["", "ticks", "ticks/0", "ticks@3", "ticks/x@3", "ticks/0@"] {
            assert!(mark(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_before_a_path_is_one_that_there_is() {
        let is_name = |name: &str| name == "daily";
        assert_eq!(named("daily=a.wasm", is_name), (Some("daily"), "a.wasm"));
        assert_eq!(named("x=y/a.wasm", is_name), (None, "x=y/a.wasm"));
        assert_eq!(named("a.wasm", is_name), (None, "a.wasm"));
    }
}
