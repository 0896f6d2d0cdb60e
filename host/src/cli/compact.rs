//! `host compact`: a joined copy of an aggregate's output, and what it came to.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::cli::checkpoint::{Format, plain};
use crate::compact::{Order, compact};
use crate::logs;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompactArgs {
    /// The output of an aggregate
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The folder of the copy: not there yet, or with an earlier copy of the same output
    #[arg(long, value_name = "DIR2")]
    into: PathBuf,
    /// About how large a joined file is to be, bytes
    #[arg(long, value_name = "BYTES", default_value = "134217728", value_parser = clap::value_parser!(u64).range(1..))]
    file_bytes: u64,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

const EXAMPLES: &str = "Examples:
  host compact out/daily --into out/daily-joined
  host compact out/daily --into out/daily-joined --format json | jq '.into.files'

The same rows in fewer files. The job may run meanwhile: its output is only read. The copy takes its place as a
whole; call it again after more commits.";

const BAR: &str = "{bar:16} {percent:>3} %  {pos} of {len} files, {eta} left";

pub fn run(args: &CompactArgs) -> anyhow::Result<()> {
    let order = Order { from: &args.from, into: &args.into, file_bytes: args.file_bytes };
    let bar = std::io::stderr().is_terminal().then(|| logs::share_terminal(style()));
    let told = |files, of| bar.iter().for_each(|bar| show(bar, files, of));
    let report = compact(order, &told);
    bar.iter().for_each(ProgressBar::finish_and_clear);
    Ok(args.format.print(&report?.json(), table)?)
}

/// The template is a constant; one that were wrong would show the plain bar.
fn style() -> ProgressStyle {
    ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn show(bar: &ProgressBar, files: u64, of: u64) {
    bar.set_length(of);
    bar.set_position(files);
}

fn table(report: &Value) -> String {
    let names = ["files", "bytes", "rows", "mean_file_bytes"];
    let mut rows = vec![[String::new(), "files".into(), "bytes".into(), "rows".into(), "mean bytes".into()]];
    for side in ["from", "into"] {
        let of = &report[side];
        let [files, bytes, count, mean] = names.map(|name| plain(&of[name]));
        rows.push([plain(&of["folder"]), files, bytes, count, mean]);
    }
    let widths: [usize; 5] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or_default());
    let mut text = String::new();
    for row in &rows {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for at in 1..row.len() {
            line += &format!("  {:>width$}", row[at], width = widths[at]);
        }
        text += line.trim_end();
        text.push('\n');
    }
    let [joined, kept] =
        ["partitions_joined", "partitions_kept"].map(|name| report[name].as_u64().unwrap_or_default());
    text += &format!(
        "partitions: {}, of which {joined} were joined and {kept} were as they are already\n",
        joined + kept
    );
    match report["other_files"].as_u64() {
        None | Some(0) => text,
        Some(others) => text + &format!("files of other kinds, left out: {others}\n"),
    }
}
