//! `host demo`: see the whole line work without a Kafka of one's own.

use std::path::PathBuf;

use clap::Args;

use crate::demo::{self, Demo};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host demo
  host demo --days 10 --keep /tmp/demo")]
pub struct DemoArgs {
    /// The folder of the built plugins [default: target/plugins, or plugins beside the program's folder]
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Days of ticks
    #[arg(long, value_name = "D", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=60))]
    days: u32,
    /// Symbols
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    symbols: u32,
    /// Where the output goes; it must not exist yet [default: a new folder under the temporary one]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    demo::run(&Demo {
        plugins: args.plugins.clone(),
        days: args.days,
        symbols: args.symbols as usize,
        folder: args.keep.clone(),
    })
}
