//! `host checkpoint rollback`: says what going back would move, and with `--yes`
//! moves it.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::Args;
use speed_layer_core::commit::Epoch;
use speed_layer_store::rollback::{Rollback, plan, roll_back};
use speed_layer_store::{CommitStore, DiskStore};

use super::JobArgs;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host checkpoint rollback --checkpoint checkpoint
  host checkpoint rollback checkpoint --job daily --to 41 --yes

Published files of later epochs go to <output>.rolled-back/<job>/e<epoch>/, their checkpoints
get the suffix .rolled-back; nothing is deleted. The next `host run` goes on from the epoch
gone back to and writes the rows since then anew. If it is stopped half-way, give the same
command again; until then the job refuses to start or has each row once.")]
pub struct RollbackArgs {
    #[command(flatten)]
    job: JobArgs,
    /// The epoch to go back to [default: the newest whose checkpoint is readable]
    #[arg(long, value_name = "EPOCH")]
    to: Option<u64>,
    /// Do it; without this it is only said what would be done
    #[arg(long)]
    yes: bool,
}

pub fn run(args: &RollbackArgs) -> anyhow::Result<()> {
    let mut store = args.job.store()?;
    let planned = plan(&store, args.to.map(Epoch))?;
    if args.yes && !planned.plan.is_empty() {
        roll_back(&mut store, &planned)?;
    }
    Ok(std::io::stdout().write_all(told(&store, &planned, args.yes).as_bytes())?)
}

fn told(store: &DiskStore, of: &Rollback, done: bool) -> String {
    let (job, to) = (store.job(), of.plan.to);
    if of.plan.is_empty() {
        return format!(
            "job {job} stands at epoch {to} and nothing lies beyond it: there is nothing to go back behind; \
             --to EPOCH names an earlier one\n"
        );
    }
    let mut text = String::new();
    let moved = if done { "moved" } else { "would move" };
    for (from, aside) in &of.moves {
        let _ = writeln!(
            text,
            "{moved} {}\n{:>width$} {}",
            from.display(),
            "to",
            aside.display(),
            width = moved.len()
        );
    }
    let set = if done { "set" } else { "would set" };
    for epoch in &of.plan.checkpoints {
        let _ = writeln!(text, "{set} the checkpoint of epoch {epoch} aside");
    }
    text.push_str(&if done {
        format!("the next `host run` of job {job} goes on from epoch {to}\n")
    } else {
        format!(
            "nothing was changed: with --yes this is done, and the next `host run` of job {job} goes on from epoch \
             {to} and writes these rows anew; rows that somebody has copied out of these files, as a compaction \
             does, would then be there twice\n"
        )
    });
    text
}
