//! What a job has committed, as tables of SQL. All of it is read from the job's checkpoints and files, whether it
//! runs or not: a query holds nothing that the stream waits for, and sees one commit, whole.
//!
//! For an aggregate `daily` there are `daily_closed`, the rows of its files up to that commit, `daily_open`, the
//! windows that it held open, through the plugin's `finish`, and `daily`, both; `daily_live` is `daily` with what the
//! workers of the running job have folded since. `dead_letters` and `late_rows` are the files beside them, `swaps` and
//! `commits` the job's history.

mod aggregate;
mod history;
mod sides;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use speed_layer_core::commit::{Generation, JobName};
use speed_layer_plugin::Runtime;
use speed_layer_sql::{Database, Limits, named_tables};
use speed_layer_store::checkpoint::decode_copy;
use speed_layer_store::inspect::ReadCheckpoint;
use speed_layer_store::posix::CheckpointDir;
use speed_layer_store::{Checkpoint, DiskLayer, DiskStore, FileError, States, inspect};
use tracing::warn;

use crate::control::copies;

/// How the names of tables end that show what is not committed yet.
const LIVE: &str = "_live";

/// How often a query begins anew because the running job has gone on and dropped what it was about to read.
const GOES_MAX: usize = 20;

/// Whose tables, and what is asked of them.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The parent of the jobs' checkpoint directories, or one of these.
    pub dir: &'a Path,
    pub job: Option<&'a JobName>,
    /// Names what has to be there; a running job is only asked for what it has not committed where that is named.
    pub sql: &'a str,
    pub limits: Limits,
}

/// What the tables are made from.
struct Sources<'a> {
    store: &'a DiskStore,
    runtime: &'a Runtime,
    kept: CheckpointDir<DiskLayer>,
    checkpoint: Arc<Checkpoint>,
    /// What the workers of the running job have folded since, if that is asked for.
    copied: Arc<Vec<States>>,
}

/// The tables of a job as of its newest commit.
///
/// # Errors
/// There is no such job, it has not committed yet, or its newest checkpoint is damaged.
pub fn open(question: Question<'_>, runtime: &Runtime) -> anyhow::Result<Database> {
    let store = inspect::find(question.dir, question.job)?;
    let kept = CheckpointDir::new(DiskLayer, store.layout().checkpoint_dir(), Generation::default());
    let wants_copies = named_tables(question.sql).iter().any(|name| name.ends_with(LIVE));
    let mut gone = None;
    for _ in 0..GOES_MAX {
        let Some((checkpoint, copied)) = look(&store, wants_copies)? else { continue };
        let sources = Sources {
            store: &store,
            runtime,
            kept: kept.clone(),
            checkpoint: Arc::new(checkpoint),
            copied: Arc::new(copied),
        };
        match sources.tables(question.limits) {
            Err(error) if is_gone(&error) => gone = Some(error),
            made => return made,
        }
    }
    Err(gone.unwrap_or_else(|| {
        anyhow!(
            "the job of {} commits faster than its checkpoints can be read; ask again",
            question.dir.display()
        )
    }))
}

/// The newest commit, with what came after it if that is wanted; `None` where the checkpoint has gone meanwhile.
fn look(store: &DiskStore, wants_copies: bool) -> anyhow::Result<Option<(Checkpoint, Vec<States>)>> {
    let copies = wants_copies.then(|| copies(store.layout().checkpoint_dir())).transpose()?.flatten();
    let Some(copies) = copies else {
        return Ok(newest(store)?.map(|checkpoint| (checkpoint, Vec::new())));
    };
    let Some(read) = inspect::read_one(store, copies.epoch)? else { return Ok(None) };
    let copied = copies.workers.iter().map(|bytes| Ok(decode_copy(bytes)?.states));
    Ok(Some((readable(read)?, copied.collect::<anyhow::Result<_>>()?)))
}

/// The newest checkpoint; `None` where all that were listed are gone.
fn newest(store: &DiskStore) -> anyhow::Result<Option<Checkpoint>> {
    inspect::read_newest(store)?.into_iter().next().map(readable).transpose()
}

fn readable(read: ReadCheckpoint) -> anyhow::Result<Checkpoint> {
    read.content.with_context(|| {
        format!("{} cannot be used; `host checkpoint verify` says what to do", read.path.display())
    })
}

/// Whether a file was dropped by a later commit.
fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<FileError>(), Some(FileError::Missing { .. }))
}

impl Sources<'_> {
    fn tables(&self, limits: Limits) -> anyhow::Result<Database> {
        let database = Database::new(limits)?;
        for of in &self.checkpoint.manifest.progress.aggregates {
            aggregate::add(&database, of, self)?;
        }
        let others = [
            ("dead_letters", sides::add_dead_letters as Add),
            ("late_rows", sides::add_late_rows),
            ("swaps", history::add_swaps),
            ("commits", history::add_commits),
        ];
        for (name, add) in others {
            if database.tables().iter().any(|known| known == name) {
                warn!("an aggregate's table is named {name}, and hides the job's own table of that name");
            } else {
                add(&database, name, self.store, &self.checkpoint)?;
            }
        }
        Ok(database)
    }
}

/// Adds one of the job's own tables.
type Add = fn(&Database, &str, &DiskStore, &Checkpoint) -> anyhow::Result<()>;
