//! `host file`: what a published Parquet file says of itself, and its rows made again.

mod inspect;
mod joined;
mod recompute;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum FileCommand {
    /// Say what a published file was made of: job, offsets, plugins, watermark, gaps
    Inspect(inspect::InspectArgs),
    /// Make a published file's rows again from the topic, and say whether they are the same
    Recompute(Box<recompute::RecomputeArgs>),
}

pub fn run(command: FileCommand) -> anyhow::Result<()> {
    match command {
        FileCommand::Inspect(args) => inspect::run(&args),
        FileCommand::Recompute(args) => recompute::run(*args),
    }
}
