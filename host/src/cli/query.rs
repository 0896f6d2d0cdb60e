//! `host query`: SQL over what a job has committed.

mod shell;
mod shown;
mod statements;

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use rustix::process::nice;
use speed_layer_core::commit::JobName;
use speed_layer_plugin::{Limits as PluginLimits, Runtime};
use speed_layer_sql::{Database, Limits};
use tracing::debug;

use crate::job::plain_runtime;
use crate::query::{self, Question};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct QueryArgs {
    /// One statement; without it, those that are typed at a prompt or piped in
    #[arg(value_name = "SQL")]
    sql: Option<String>,
    /// The parent folder of the jobs' checkpoints, as `host run` has it, or one job's own
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    checkpoint: PathBuf,
    /// The job; needed where the folder holds several
    #[arg(long, value_name = "NAME", value_parser = JobName::new)]
    job: Option<JobName>,
    /// How rows are written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// How long a statement may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// What a statement may hold in memory, bytes
    #[arg(long, value_name = "BYTES", default_value = "536870912")]
    memory: usize,
    /// Where compiled plugins are kept
    #[arg(long, value_name = "DIR")]
    plugin_cache: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  host query \"SELECT * FROM daily ORDER BY symbol\"
  host query \"SELECT symbol, daily_high FROM daily_open\" --checkpoint checkpoint --format csv
  host query \"SELECT kind, count(*) FROM dead_letters GROUP BY kind\"
  host query \"SHOW TABLES\"
  host query --format arrow \"SELECT * FROM daily_closed\" > daily.arrows
  host query < report.sql
  host query                                             # a prompt with history

Each aggregate is a table of its name: NAME_closed has the windows of its files, NAME_open those that
are still open, NAME both, NAME_live both with what the running job has not committed yet. Then there
are dead_letters, late_rows, swaps and commits. A statement sees the job as of its newest commit,
whether it runs or not; it only reads, and the job does not wait for it.";

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    /// An object a line
    Json,
    /// Arrow's IPC stream
    Arrow,
}

/// How much its processor time is worth less than the stream's.
const NICENESS: i32 = 10;

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<speed_layer_core::time::Duration>();
    parsed.map(|of| Duration::from_millis(of.as_ms())).map_err(|error| error.to_string())
}

pub fn run(args: &QueryArgs) -> anyhow::Result<()> {
    if let Err(cause) = nice(NICENESS) {
        debug!("the query has the same priority as the job: {cause}");
    }
    let runtime = plain_runtime(args.plugin_cache.clone(), &PluginLimits::default(), true)?;
    let asked = Asked { args, runtime };
    match &args.sql {
        Some(sql) => asked.answer(sql),
        None if std::io::stdin().is_terminal() => shell::run(&asked),
        None => asked.answer_all(),
    }
}

/// What statements are answered with.
struct Asked<'a> {
    args: &'a QueryArgs,
    runtime: Runtime,
}

impl Asked<'_> {
    fn tables(&self, sql: &str) -> anyhow::Result<Database> {
        let limits = Limits { memory_bytes: self.args.memory, time: self.args.timeout };
        let question = Question { dir: &self.args.checkpoint, job: self.args.job.as_ref(), sql, limits };
        query::open(question, &self.runtime)
    }

    /// Writes the rows of one statement to stdout.
    fn answer(&self, sql: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.args.format == Format::Arrow && out.is_terminal() {
            bail!("Arrow's bytes are not for a terminal: send them to a file, or choose another --format");
        }
        let tables = self.tables(sql)?;
        let answer = tables.query(sql)?;
        let written = shown::write(self.args.format, answer, self.args.memory, &mut out);
        shown::unless_unread(written.and_then(|()| Ok(out.flush()?)))
    }

    /// Answers the statements that are piped in, one after the other.
    fn answer_all(&self) -> anyhow::Result<()> {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the statements cannot be read")?;
        let statements = statements::statements(&text);
        statements.iter().try_for_each(|sql| self.answer(sql))
    }
}
