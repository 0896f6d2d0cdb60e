//! `host checkpoint show`: one checkpoint, as JSON and from that as text. Takes no
//! lock, so the job may be running.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use speed_layer_core::commit::{AggregateProgress, Epoch, PartitionProgress, PluginUse};
use speed_layer_core::group::StoredGroups;
use speed_layer_store::inspect::{ReadCheckpoint, read_newest, read_one};
use speed_layer_store::{Checkpoint, CommitStore, DiskStore};

use super::{Format, JobArgs, plain};
use crate::cli::shown::{items, line, time};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host checkpoint show --checkpoint checkpoint
  host checkpoint show checkpoint --job daily --epoch 41
  host checkpoint show checkpoint --format json | jq '.partitions[].next_offset'")]
pub struct ShowArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Which checkpoint [default: the newest that is readable]
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub fn run(args: &ShowArgs) -> anyhow::Result<()> {
    let store = args.job.store()?;
    let read = match args.epoch {
        Some(epoch) => read_one(&store, Epoch(epoch))?.into_iter().collect(),
        None => read_newest(&store)?,
    };
    let report = report(&store, &read)?;
    Ok(args.format.print(&report, table)?)
}

/// The readable one of `read`, with the damaged ones that are newer.
fn report(store: &DiskStore, read: &[ReadCheckpoint]) -> anyhow::Result<Value> {
    let mut damaged = Vec::new();
    for one in read {
        match &one.content {
            Ok(checkpoint) => return Ok(checkpoint_report(store, one, checkpoint, damaged)),
            Err(why) => damaged.push(json!({ "epoch": one.epoch, "why": why.to_string() })),
        }
    }
    let mut epochs = store.epochs()?;
    epochs.sort_unstable();
    let epochs = epochs.iter().map(Epoch::to_string).collect::<Vec<_>>().join(", ");
    match read.first() {
        Some(one) => bail!(
            "{} cannot be read; `host checkpoint verify --checkpoint '{}'` says what is wrong with each; there are epochs {epochs}",
            one.path.display(),
            store.place()
        ),
        None => bail!("job {} has no checkpoint of that epoch; there are epochs {epochs}", store.job()),
    }
}

fn checkpoint_report(
    store: &DiskStore,
    file: &ReadCheckpoint,
    of: &Checkpoint,
    damaged: Vec<Value>,
) -> Value {
    let manifest = &of.manifest;
    let progress = &manifest.progress;
    json!({
        "job": manifest.job,
        "epoch": manifest.epoch,
        "file": file.path.display().to_string(),
        "bytes": file.bytes,
        "digest": of.digest,
        "format": manifest.format,
        "kind": manifest.kind,
        "base": manifest.base,
        "parent": manifest.parent,
        "generation": manifest.generation,
        "published_through": manifest.published_through,
        "clean": manifest.clean,
        "is_running": store.check_unowned().is_err(),
        "damaged_and_newer": damaged,
        "epoch_began_ms": progress.epoch_began_ms,
        "clock_bound_ms": progress.clock_bound_ms,
        "partitions": progress.partitions.iter().map(partition).collect::<Vec<_>>(),
        "stages": progress.stages.iter().map(|stage| {
            json!({ "stage": stage.stage, "plugins": plugins(&stage.plugins) })
        }).collect::<Vec<_>>(),
        "aggregates": progress.aggregates.iter().map(|one| aggregate(one, of)).collect::<Vec<_>>(),
        "gaps": progress.gaps,
        "outputs": manifest.outputs,
        "publish": manifest.publish,
        "outbox": manifest.outbox,
    })
}

fn partition(of: &PartitionProgress) -> Value {
    json!({
        "topic": of.topic,
        "partition": of.partition,
        "topic_id": of.topic_id,
        "leader_epoch": of.leader_epoch,
        "next_offset": of.next_offset,
        "log_start_offset": of.log_start_offset,
        "stable_offset": of.stable_offset,
        "max_event_ms": of.clock.max_event_ms,
        "idle": of.clock.idle,
        "last_gave_ms": of.clock.last_gave_ms,
    })
}

fn plugins(plugins: &[PluginUse]) -> Vec<Value> {
    let one = |of: &PluginUse| json!({ "name": of.name, "digest": of.digest, "config": of.config, "from": of.from });
    plugins.iter().map(one).collect()
}

fn aggregate(of: &AggregateProgress, checkpoint: &Checkpoint) -> Value {
    let none = StoredGroups::default();
    let stored =
        checkpoint.states.iter().find(|(name, _)| *name == of.name).map_or(&none, |(_, stored)| stored);
    let starts_ms: BTreeSet<i64> =
        stored.offsets.iter().map(|offset| offset.start_us.div_euclid(1000)).collect();
    let is_held =
        |start_ms: &i64| of.closed_through_ms.is_some_and(|closed| start_ms + of.window_ms <= closed);
    let (held_ms, starts_ms): (BTreeSet<i64>, BTreeSet<i64>) = starts_ms.into_iter().partition(is_held);
    json!({
        "name": of.name,
        "key": of.key,
        "keep_key_column": of.keep_key_column,
        "window_ms": of.window_ms,
        "delay_ms": of.delay_ms,
        "closed_through_ms": of.closed_through_ms,
        "idle_trigger_ms": of.idle_trigger_ms,
        "withheld_until_ms": of.withheld_until_ms,
        "state_version": of.state_version,
        "open_windows": starts_ms.len(),
        "held_windows": held_ms.len(),
        "held": of.held,
        "open_groups": stored.len(),
        "state_bytes": stored.bytes(),
        "first_open_window_ms": starts_ms.first(),
        "moved_output": of.moved,
        "plugins": plugins(&of.plugins),
    })
}

/// The report as lines of text.
fn table(report: &Value) -> String {
    let mut text = String::new();
    let head = [
        "job",
        "epoch",
        "file",
        "bytes",
        "digest",
        "kind",
        "parent",
        "generation",
        "published_through",
        "clean",
        "is_running",
    ];
    head.iter().for_each(|name| line(&mut text, &name.replace('_', " "), &plain(&report[name])));
    line(&mut text, "epoch began", &time(&report["epoch_began_ms"]));
    for one in items(&report["damaged_and_newer"]) {
        line(&mut text, "damaged", &format!("epoch {}: {}", plain(&one["epoch"]), plain(&one["why"])));
    }
    items(&report["partitions"]).iter().for_each(|one| partition_lines(&mut text, one));
    items(&report["gaps"]).iter().for_each(|one| gap_line(&mut text, one));
    for stage in items(&report["stages"]) {
        let _ = writeln!(text, "\nstage {}", plain(&stage["stage"]));
        plugin_lines(&mut text, stage);
    }
    items(&report["aggregates"]).iter().for_each(|one| aggregate_lines(&mut text, one));
    publish_lines(&mut text, report);
    text
}

fn partition_lines(text: &mut String, of: &Value) {
    let _ = writeln!(text, "\n{} partition {}", plain(&of["topic"]), plain(&of["partition"]));
    for (name, field) in [
        ("next offset", "next_offset"),
        ("log start", "log_start_offset"),
        ("stable end", "stable_offset"),
        ("topic id", "topic_id"),
        ("leader epoch", "leader_epoch"),
        ("idle", "idle"),
    ] {
        line(text, name, &plain(&of[field]));
    }
    line(text, "newest event", &time(&of["max_event_ms"]));
    line(text, "last gave", &time(&of["last_gave_ms"]));
}

fn gap_line(text: &mut String, of: &Value) {
    let [topic, partition, from, to, reason] =
        ["topic", "partition", "from", "to", "reason"].map(|name| plain(&of[name]));
    line(text, "gap", &format!("{topic} partition {partition}, offsets {from} to {to}: {reason}"));
}

fn plugin_lines(text: &mut String, of: &Value) {
    for plugin in items(&of["plugins"]) {
        let from = items(&plugin["from"]).iter().map(mark).collect::<Vec<_>>().join(", ");
        line(text, "plugin", &format!("{} sha256:{}", plain(&plugin["name"]), plain(&plugin["digest"])));
        line(text, "  config", &format!("sha256:{}", plain(&plugin["config"])));
        line(text, "  from", if from.is_empty() { "-" } else { &from });
    }
}

fn mark(of: &Value) -> String {
    let [topic, partition, offset] = ["topic", "partition", "offset"].map(|name| plain(&of[name]));
    format!("{topic}/{partition}@{offset}")
}

fn aggregate_lines(text: &mut String, of: &Value) {
    let _ = writeln!(text, "\naggregate {}", plain(&of["name"]));
    let key = items(&of["key"]).iter().map(plain).collect::<Vec<_>>().join(", ");
    let windows =
        format!("{}, {} groups, {} bytes", of["open_windows"], of["open_groups"], of["state_bytes"]);
    line(
        text,
        "key",
        &format!("{key}{}", if of["keep_key_column"] == true { ", kept as columns" } else { "" }),
    );
    line(text, "window", &format!("{} ms", of["window_ms"]));
    line(text, "delay", &format!("{} ms", of["delay_ms"]));
    line(text, "closed through", &time(&of["closed_through_ms"]));
    if !of["idle_trigger_ms"].is_null() {
        line(text, "  while idle, at", &time(&of["idle_trigger_ms"]));
    }
    line(text, "withheld until", &time(&of["withheld_until_ms"]));
    line(text, "state version", &plain(&of["state_version"]));
    line(text, "open windows", &windows);
    line(text, "first of them", &time(&of["first_open_window_ms"]));
    if of["held_windows"] != 0 {
        line(text, "held windows", &plain(&of["held_windows"]));
        line(text, "published to", &time(&of["held"]["released_through_ms"]));
    }
    if let Some(to) = of["moved_output"]["to"].as_str() {
        line(
            text,
            "output",
            &format!("{to}, where a swap moved it from {}", plain(&of["moved_output"]["from"])),
        );
    }
    plugin_lines(text, of);
}

fn publish_lines(text: &mut String, report: &Value) {
    let published = items(&report["publish"]);
    let _ = writeln!(text, "\npublishes {} files", published.len());
    for entry in published {
        let root = items(&report["outputs"]).iter().find(|root| root["output"] == entry["output"]);
        let root = root.map(|root| plain(&root["path"])).unwrap_or_default();
        let [bytes, rows, path] = ["bytes", "rows", "path"].map(|name| plain(&entry[name]));
        let _ = writeln!(text, "{bytes:>12} bytes {rows:>9} rows  {root}/{path}");
    }
    for entry in items(&report["outbox"]) {
        let [bytes, rows, topic] = ["bytes", "rows", "topic"].map(|name| plain(&entry[name]));
        let _ = writeln!(text, "{bytes:>12} bytes {rows:>9} rows  to the topic {topic}");
    }
}
