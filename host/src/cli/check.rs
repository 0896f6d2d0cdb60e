//! `host check`: whether a pipeline's plugins fit together, and what it would do. Neither a broker is asked nor a
//! checkpoint looked at, and nothing is written but the cache of compiled plugins.

mod plan;

use std::io::Write;

use clap::{Args, ValueEnum};
use speed_layer_kafka::Connection;

use crate::config::{self, JobSpec, RunFlags};
use crate::job;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host check pipeline.toml
  host check pipeline.toml --format json | jq '.stages[].output'

It takes the flags of `host run`. Exit code 0: it could be run, as far as that can be told without the
brokers and the checkpoint; 1: a plugin does not load, or does not fit; 2: the file or a flag is wrong.")]
pub struct CheckArgs {
    #[command(flatten)]
    flags: RunFlags,
    #[arg(long, value_enum, default_value = "table")]
    format: CheckFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    Table,
    Json,
}

pub fn run(args: CheckArgs) -> anyhow::Result<()> {
    let spec = JobSpec { compile_apart: true, ..config::load(args.flags)? };
    Connection::new(&spec.source.brokers, spec.source.properties.clone())?;
    let report = plan::report(&spec, &job::configured_plan(&spec)?);
    let text = match args.format {
        CheckFormat::Table => plan::table(&report),
        CheckFormat::Json => format!("{report:#}\n"),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
