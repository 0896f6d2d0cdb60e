//! `host file inspect`: the footer of a published file. Its rows are read too, so that
//! damage shows.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use speed_layer_store::{JoinedFile, PublishedFile};

use super::joined;
use crate::cli::checkpoint::{Format, plain};
use crate::cli::shown::{items, line, time};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host file inspect streaming_output/daily/symbol=BTCUSDT/part-daily-g1-e0000000007-00000.snappy.parquet
  host file inspect FILE.parquet --format json | jq '.plugins[] | {name, digest}'

Exit code 1: the file is not there, no Parquet, not written by a job, cut short or damaged.")]
pub struct InspectArgs {
    /// A file of an output, of its joined copy, of the dead letters or of the late rows
    #[arg(value_name = "FILE.parquet")]
    file: PathBuf,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub fn run(args: &InspectArgs) -> anyhow::Result<()> {
    if let Some(joined) = JoinedFile::open(&args.file)? {
        joined.check_rows()?;
        return Ok(args.format.print(&joined::report(&joined), joined::table)?);
    }
    let file = PublishedFile::open(&args.file)?;
    file.read_rows()?;
    Ok(args.format.print(&report(&file), table)?)
}

fn report(file: &PublishedFile) -> Value {
    let footer = &file.footer;
    let columns = file.schema.fields().iter().map(|field| {
        json!({ "name": field.name(), "type": field.data_type().to_string(), "nullable": field.is_nullable() })
    });
    json!({
        "file": file.path.display().to_string(),
        "bytes": file.bytes,
        "rows": file.rows,
        "row_groups": file.row_groups,
        "created_by": file.created_by,
        "columns": columns.collect::<Vec<_>>(),
        "job": footer.job,
        "epoch": footer.epoch,
        "generation": footer.generation,
        "offsets": footer.offsets,
        "plugins": footer.plugins,
        "closed_through_ms": footer.closed_through_ms,
        "clock_bound_ms": footer.clock_bound_ms,
        "gaps": footer.gaps,
        "recipe": footer.recipe,
    })
}

fn table(report: &Value) -> String {
    let mut text = String::new();
    for name in ["file", "bytes", "rows", "row_groups", "created_by", "job", "epoch", "generation"] {
        line(&mut text, &name.replace('_', " "), &plain(&report[name]));
    }
    line(&mut text, "closed through", &time(&report["closed_through_ms"]));
    line(&mut text, "clock bound", &time(&report["clock_bound_ms"]));
    for of in items(&report["offsets"]) {
        let [topic, partition, lowest, cut] =
            ["topic", "partition", "lowest", "cut"].map(|name| plain(&of[name]));
        line(
            &mut text,
            "records",
            &format!("{topic} partition {partition}, offsets {lowest} up to {cut}, not inside"),
        );
    }
    for of in items(&report["gaps"]) {
        let [topic, partition, from, to, reason] =
            ["topic", "partition", "from", "to", "reason"].map(|name| plain(&of[name]));
        line(&mut text, "gap", &format!("{topic} partition {partition}, offsets {from} to {to}: {reason}"));
    }
    recipe_lines(&mut text, &report["recipe"]);
    match items(&report["recipe"]["stages"]) {
        [] => plugin_lines(&mut text, "plugin", &report["plugins"]),
        stages => stages.iter().for_each(|of| plugin_lines(&mut text, &plain(&of["stage"]), &of["plugins"])),
    }
    for of in items(&report["columns"]) {
        let nullable = if of["nullable"] == true { ", nullable" } else { "" };
        line(&mut text, "column", &format!("{} {}{nullable}", plain(&of["name"]), plain(&of["type"])));
    }
    text
}

fn recipe_lines(text: &mut String, recipe: &Value) {
    if recipe.is_null() {
        return;
    }
    let key = items(&recipe["key"]).iter().map(plain).collect::<Vec<_>>().join(", ");
    line(text, "aggregate", &plain(&recipe["aggregate"]));
    let kept = if recipe["keep_key_column"] == true { ", kept as columns" } else { "" };
    line(text, "key", &format!("{key}{kept}; of this file: {}", plain(&recipe["path"])));
    line(text, "window, delay", &format!("{} ms, {} ms", recipe["window_ms"], recipe["delay_ms"]));
    line(text, "event time", &plain(&recipe["event_time"]));
    line(text, "  not before", &time(&recipe["min_event_time_ms"]));
    line(text, "  ahead at most", &format!("{} ms", recipe["max_future_skew_ms"]));
    line(text, "topic id", &plain(&recipe["topic_id"]));
}

fn plugin_lines(text: &mut String, what: &str, plugins: &Value) {
    for of in items(plugins) {
        let mark = |of: &Value| format!("{}/{}@{}", plain(&of["topic"]), of["partition"], of["offset"]);
        let from = items(&of["from"]).iter().map(mark).collect::<Vec<_>>().join(", ");
        line(text, what, &format!("{} sha256:{}", plain(&of["name"]), plain(&of["digest"])));
        line(text, "  config", &format!("sha256:{}", plain(&of["config"])));
        line(text, "  from", if from.is_empty() { "-" } else { &from });
    }
}
