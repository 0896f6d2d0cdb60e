//! `host dead-letters count`: how many letters of what there are.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Args;
use serde_json::{Value, json};

use super::LettersArgs;
use crate::cli::checkpoint::{Format, plain};
use crate::config::RunFlags;
use crate::letters::text_shown;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host dead-letters count pipeline.toml
  host dead-letters count pipeline.toml --stage parse --format json | jq '.counts[] | {kind, letters}'
  host dead-letters count --dir streaming_output/daily.dead-letters

Give the job as to `host run`, as a file or by flags, or the folder with the letters.")]
pub struct CountArgs {
    #[command(flatten)]
    letters: LettersArgs,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    job: RunFlags,
}

/// Kind, stage, the plugin's digest, partition.
type Group = (String, String, Option<String>, i32);

pub fn run(args: CountArgs) -> anyhow::Result<()> {
    let filter = args.letters.filter();
    let mut counts: BTreeMap<Group, u64> = BTreeMap::new();
    args.letters.kept(args.job)?.each(&mut |letter| {
        if filter.takes(&letter) {
            let group = (letter.kind, letter.stage, letter.plugin_digest, letter.partition);
            *counts.entry(group).or_default() += 1;
        }
        Ok(())
    })?;
    Ok(args.format.print(&report(&counts), table)?)
}

fn report(counts: &BTreeMap<Group, u64>) -> Value {
    let groups = counts.iter().map(|((kind, stage, digest, partition), letters)| {
        json!({
            "kind": kind,
            "stage": stage,
            "plugin_digest": digest,
            "partition": partition,
            "letters": letters,
        })
    });
    json!({ "letters": counts.values().sum::<u64>(), "counts": groups.collect::<Vec<_>>() })
}

fn table(report: &Value) -> String {
    let mut text = format!("{:>10}  {:>9}  {:14} {:13} kind\n", "letters", "partition", "stage", "plugin");
    for of in report["counts"].as_array().into_iter().flatten() {
        let digest = plain(&of["plugin_digest"]);
        let _ = writeln!(
            text,
            "{:>10}  {:>9}  {:14} {:13} {}",
            plain(&of["letters"]),
            plain(&of["partition"]),
            text_shown(&plain(&of["stage"]), 64),
            text_shown(&digest, 12),
            text_shown(&plain(&of["kind"]), 64)
        );
    }
    let _ = writeln!(text, "{:>10}  in all", plain(&report["letters"]));
    text
}
