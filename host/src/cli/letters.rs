//! `host dead-letters`: what did not get through, counted, shown, and put back into the
//! topic.

mod count;
mod replay;
mod show;

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand};

use crate::config::{self, RunFlags};
use crate::letters::{Filter, Kept, OffsetSpan};

#[derive(Debug, Subcommand)]
pub enum LettersCommand {
    /// Count dead letters by kind, stage, plugin and partition
    Count(Box<count::CountArgs>),
    /// Show dead letters with their records, whatever is in them
    Show(Box<show::ShowArgs>),
    /// Write the records of dead letters into their topic again, each once
    Replay(Box<replay::ReplayArgs>),
}

/// Which letters are meant.
#[derive(Debug, Args)]
struct LettersArgs {
    /// The late rows in place of the dead letters
    #[arg(long)]
    late: bool,
    /// Only letters of this kind, such as malformed-json; repeat it for several
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only letters of this stage: parse, clock, transform:0, aggregate; repeat it for several
    #[arg(long, value_name = "STAGE")]
    stage: Vec<String>,
    /// Only letters of this partition; repeat it for several
    #[arg(long, value_name = "P")]
    partition: Vec<i32>,
    /// Only letters of these offsets, B not among them; also A.., ..B or one offset
    #[arg(long, value_name = "A..B")]
    offset: Option<OffsetSpan>,
    /// The folder with the letters [default: where the job keeps them]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl LettersArgs {
    fn filter(&self) -> Filter {
        Filter {
            kinds: self.kind.clone(),
            stages: self.stage.clone(),
            partitions: self.partition.clone(),
            offsets: self.offset,
        }
    }

    /// Where the letters are. The job is not asked for where a folder is given.
    fn kept(&self, job: RunFlags) -> anyhow::Result<Kept> {
        match &self.dir {
            Some(dir) => {
                ensure!(dir.is_dir(), "{} is no folder; give the one with the letters", dir.display());
                Ok(Kept::Folder(dir.clone()))
            }
            None => Kept::of(&config::load(job)?, self.late),
        }
    }
}

pub fn run(command: LettersCommand) -> anyhow::Result<()> {
    match command {
        LettersCommand::Count(args) => count::run(*args),
        LettersCommand::Show(args) => show::run(*args),
        LettersCommand::Replay(args) => replay::run(*args),
    }
}
