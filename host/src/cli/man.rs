//! `host man`: a manual page for the program and one for each of its commands.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host man /usr/local/share/man/man1
  host man man && man man/host-run.1")]
pub struct ManArgs {
    /// The folder for the pages; made if it is not there
    folder: PathBuf,
}

pub fn run(args: &ManArgs) -> anyhow::Result<()> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    clap_mangen::generate_to(super::Cli::command(), folder)
        .with_context(|| format!("the pages cannot be written to {}", folder.display()))
}
