//! `host completions`: a script for the user's shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  host completions bash > /etc/bash_completion.d/host")]
pub struct CompletionsArgs {
    /// The shell that is to complete
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "host", &mut std::io::stdout());
    Ok(())
}
