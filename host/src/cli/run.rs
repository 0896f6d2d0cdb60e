//! `host run`: runs a job until it ends or a signal ends it, and prints its summary.

use std::io::Write;

use anyhow::Context;
use clap::Args;

use crate::cli::signals::stop_on_signals;
use crate::config::{self, AggregateChanges, JobSpec, RunFlags};
use crate::job::{self, JobHandle};
use crate::progress::{self, Shown};
use crate::serve::{self, Board};
use crate::sinks::Console;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    #[command(flatten)]
    flags: RunFlags,
    /// End the process that runs this job, if one does, and go on in its place
    #[arg(long, help_heading = "Commits")]
    take_over: bool,
    /// For development: swap a plugin in whenever its file is saved; a broken one leaves the old one running
    #[arg(long, help_heading = "Stages")]
    watch: bool,
    /// How the progress is shown
    #[arg(long, value_enum, default_value = "auto", value_name = "KIND", help_heading = "Progress")]
    progress: progress::Kind,
    /// Go on without an aggregate that the settings no longer have: its open windows are not written; repeat it for several
    #[arg(long, value_name = "NAME", help_heading = "Aggregation")]
    drop_aggregate: Vec<String>,
    /// Build an aggregate that is new to the checkpoint from the job's first record on, before the stream goes on; repeat it for several
    #[arg(long, value_name = "NAME", help_heading = "Aggregation")]
    backfill: Vec<String>,
}

const EXAMPLES: &str = "Examples:
  host run pipeline.toml
  host run pipeline.toml --trigger available-now
  host run --brokers localhost:9092 --topic crypto-prices \\
      --parse ticker_json.wasm --transform ticker_time.wasm --aggregate ohlcv.wasm \\
      --output streaming_output/daily --checkpoint checkpoint
  host run pipeline.toml --take-over
  host run pipeline.toml --watch
  host run pipeline.toml --progress json
  host run pipeline.toml --http 127.0.0.1:8080
  host run pipeline.toml --console=10s
  host run pipeline.toml --backfill hourly
  host run pipeline.toml --drop-aggregate hourly
  host run ... --kafka security.protocol=SASL_SSL --kafka 'sasl.password=${KAFKA_PASSWORD}'

The last line on stdout is a JSON summary. A signal (SIGINT, SIGTERM) ends the job after one
more commit, with exit code 0; a second one ends it at once, which loses nothing either.";

/// `logs_for_people`: not as JSON.
pub fn run(args: RunArgs, logs_for_people: bool) -> anyhow::Result<()> {
    let changes = AggregateChanges { drop: args.drop_aggregate, backfill: args.backfill };
    let spec = config::load(args.flags)?.with_changes(changes)?;
    let spec = JobSpec { watch: args.watch, compile_apart: true, ..spec };
    let stop = JobHandle::default();
    stop_on_signals(stop.clone(), "committing what is whole")?;
    if args.take_over {
        job::take_over(&spec)?;
    }
    if args.progress == progress::Kind::Json {
        spec.refuse_console("--progress json")?;
    }
    let console = Console::start(&spec, &stop)?;
    let shown = Shown::start(args.progress, logs_for_people, &spec, &stop)?;
    let board = Board::new(&spec, &stop);
    if let Some(http) = &spec.http {
        serve::start(http, &spec, &board)?;
    }
    let outcome = job::run(&spec, &stop, &mut |progress| {
        shown.show(&spec, progress);
        board.note(progress);
    });
    drop((shown, console));
    let summary = outcome?;
    writeln!(std::io::stdout(), "{}", summary.to_json()).context("the summary cannot be written to stdout")
}
