//! `host file recompute`: a published file's rows made again and compared.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use speed_layer_store::PublishedFile;

use crate::cli::checkpoint::{Format, plain};
use crate::cli::compared::comparison_lines;
use crate::config::{self, JobSpec, RunFlags};
use crate::job::replay::{KafkaTopic, runtime, store};
use crate::recompute::components::Components;
use crate::recompute::file::{Verdict, recompute, spec_of};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RecomputeArgs {
    /// A file of an aggregate's output
    #[arg(value_name = "FILE.parquet")]
    file: PathBuf,
    /// A component that is not kept beside the checkpoints any more; repeat it for several
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Vec<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    job: RunFlags,
}

const EXAMPLES: &str = "Examples:
  host file recompute out/daily/symbol=BTCUSDT/part-daily-g1-e0000000007-00000.snappy.parquet \\
      pipeline.toml
  host file recompute FILE.parquet pipeline.toml --format json | jq .verdict
  host file recompute FILE.parquet pipeline.toml --plugin old/ohlcv.wasm

Give the job as to `host run`, as a file or by flags. Of it the brokers, the plugins' settings and
the checkpoint folder are used; offsets, digests, key, window and clock are the file's own. The
records are read from the topic again, by a consumer that commits nothing, so that the job may run
meanwhile.

Exit code 0: the rows are the same; float sums may differ in their last bits (1e-9), which is
told. 1: they differ, or cannot be made again: retention has taken the records, a plugin is gone.";

pub fn run(args: RecomputeArgs) -> anyhow::Result<()> {
    let file = PublishedFile::open(&args.file)?;
    let job = JobSpec { compile_apart: true, ..config::load(args.job)? };
    let spec = spec_of(&file, &job)?;
    let components =
        Components::of(runtime(&job)?, store(&spec)?.layout().checkpoint_dir(), &spec, &args.plugin);
    let topic = KafkaTopic::of(&spec.source, &spec.name, true)?;
    let report = recompute(&file, &job, &spec, &components, &topic)?;
    args.format.print(&json!(report), table)?;
    match report.verdict {
        Verdict::Same | Verdict::SameButForLastBits => Ok(()),
        Verdict::Differs => bail!("{} does not hold the rows that its records make", args.file.display()),
    }
}

fn table(report: &Value) -> String {
    let mut text = format!("{}: {}\n", plain(&report["file"]), said(&report["verdict"]));
    text += &format!(
        "records read {}, of which the clock refused rows of {}; rows in the file {}, made again {}\n",
        report["records_read"], report["clock_refusals"], report["rows_in_file"], report["rows_made"]
    );
    for turn in report["turns"].as_array().into_iter().flatten() {
        let mark = |of: &Value| format!("{}/{}@{}", plain(&of["topic"]), of["partition"], of["offset"]);
        let from = turn["from_offsets"].as_array().into_iter().flatten().map(mark).collect::<Vec<_>>();
        text += &format!("from {}\n", from.join(", "));
        for (stage, plugin) in turn["plugins"].as_object().into_iter().flatten() {
            text += &format!("  {stage:17} {} sha256:{}\n", plain(&plugin["name"]), plain(&plugin["digest"]));
        }
    }
    text + &comparison_lines(&report["comparison"], ["in the file", "made again"])
}

fn said(verdict: &Value) -> &'static str {
    match verdict.as_str() {
        Some("same") => "the same, bit by bit",
        Some("same_but_for_last_bits") => "the same but for the last bits of floats",
        _ => "not the same",
    }
}
