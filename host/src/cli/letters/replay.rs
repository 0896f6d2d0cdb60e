//! `host dead-letters replay`: the records of letters written into their topic again.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use super::LettersArgs;
use crate::cli::checkpoint::{Format, plain};
use crate::config::{self, RunFlags};
use crate::letters::{Asked, Kept, replay};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    #[command(flatten)]
    letters: LettersArgs,
    /// So many records at most [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Say what would be replayed, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Also whole records of which a later stage refused one row: their other rows may count twice
    #[arg(long)]
    whole_records: bool,
    /// So many records in one transaction at most
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    per_transaction: u32,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    job: RunFlags,
}

const EXAMPLES: &str = "Examples:
  host dead-letters replay pipeline.toml --dry-run
  host dead-letters replay pipeline.toml --kind wrong-type
  host dead-letters replay pipeline.toml --partition 3 --offset 1000..2000 --format json

Each letter's record is written into the job's topic again, to its partition, with its key, value
and timestamp and the header `speed-layer.replay-of`: whatever reads the topic takes it as any
other record. What was replayed is noted in the topic NAME.replays in the same transactions, so
that a record is replayed once, also when a replay is killed and started again. The job may run
meanwhile, or be started later. See docs/dead-letters.md.

Exit code 0: all that was chosen is written, also if that is nothing. 1: it could not be; run it
again to go on.";

pub fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let filter = args.letters.filter();
    let spec = config::load(args.job)?;
    let kept = match args.letters.dir {
        Some(_) => args.letters.kept(RunFlags::default())?,
        None => Kept::of(&spec, args.letters.late)?,
    };
    let report = replay(&Asked {
        spec: &spec,
        kept: &kept,
        filter: &filter,
        limit: args.limit.unwrap_or(u64::MAX),
        whole_records: args.whole_records,
        dry_run: args.dry_run,
        per_transaction: args.per_transaction as usize,
    })?;
    Ok(args.format.print(&report.to_json(), table)?)
}

fn table(report: &Value) -> String {
    let [topic, ledger] = ["topic", "ledger"].map(|name| plain(&report[name]));
    let mut text = String::new();
    let _ = match report["dry_run"].as_bool() {
        Some(true) => writeln!(text, "{} records would be replayed into {topic}", report["chosen"]),
        _ => writeln!(
            text,
            "{} records replayed into {topic}, in {} transactions",
            report["replayed"], report["transactions"]
        ),
    };
    let _ = writeln!(text, "{:>10}  replayed before, by {ledger}", plain(&report["already_replayed"]));
    let _ = writeln!(text, "{:>10}  further letters of the same records", plain(&report["same_record"]));
    for of in report["left_out"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "{:>10}  left out: {}", plain(&of["letters"]), plain(&of["why"]));
        let first = of["first"].as_array().into_iter().flatten().take(3).map(plain).collect::<Vec<_>>();
        let _ = writeln!(text, "{:12}{} …", "", first.join(", "));
    }
    let _ = writeln!(text, "{:>10}  letters in all", plain(&report["letters"]));
    text
}
