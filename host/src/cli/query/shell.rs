//! The prompt of `host query`: statements that end with a semicolon, each over the newest commit, and a history that
//! outlives it. Decides nothing about what they mean.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tracing::{debug, warn};

use super::Asked;
use super::statements::{is_whole, statements};

const WELCOME: &str = "\
Statements end with a semicolon; each sees the job as of its newest commit.
SHOW TABLES; lists the tables, DESCRIBE name; the columns of one. \\q or Ctrl-D ends.";

/// Answers what is typed until its end.
///
/// # Errors
/// The job cannot be read to begin with, or the terminal is gone.
pub fn run(asked: &Asked<'_>) -> anyhow::Result<()> {
    let tables = asked.tables("")?.tables();
    println!("Tables: {}\n{WELCOME}", tables.join(", "));
    let mut editor = DefaultEditor::new().context("the prompt cannot be shown")?;
    let history = history_path();
    if let Some(path) = &history {
        load_history(&mut editor, path);
    }
    let ended = converse(asked, &mut editor);
    if let Some(path) = &history {
        keep_history(&mut editor, path);
    }
    ended
}

fn converse(asked: &Asked<'_>, editor: &mut DefaultEditor) -> anyhow::Result<()> {
    let mut pending = String::new();
    loop {
        match editor.readline(if pending.is_empty() { "query> " } else { "    -> " }) {
            Ok(line) if pending.is_empty() && is_end(&line) => return Ok(()),
            Ok(line) if pending.is_empty() && line.trim().is_empty() => {}
            Ok(line) => pending += &format!("{line}\n"),
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error).context("the prompt has failed"),
        }
        if is_whole(&pending) {
            editor.add_history_entry(pending.trim())?;
            answer(asked, &std::mem::take(&mut pending));
        }
    }
}

/// A statement that fails ends neither those after it nor the prompt.
fn answer(asked: &Asked<'_>, text: &str) {
    for sql in statements(text) {
        if let Err(error) = asked.answer(&sql) {
            eprintln!("error: {error:#}");
        }
    }
}

fn is_end(line: &str) -> bool {
    ["\\q", "quit", "exit"].contains(&line.trim().trim_end_matches(';'))
}

/// Where the user's state is, by the XDG convention.
fn history_path() -> Option<PathBuf> {
    let from_environment = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let base = from_environment.filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(base.join("speed-layer").join("query-history"))
}

fn load_history(editor: &mut DefaultEditor, path: &Path) {
    match editor.load_history(path) {
        Ok(()) => {}
        Err(ReadlineError::Io(cause)) if cause.kind() == ErrorKind::NotFound => {
            debug!("there is no history in {} yet", path.display());
        }
        Err(cause) => warn!("the history in {} cannot be read: {cause}", path.display()),
    }
}

/// A history that cannot be kept costs nobody an answer.
fn keep_history(editor: &mut DefaultEditor, path: &Path) {
    let folder = path.parent().map(|folder| DirBuilder::new().recursive(true).mode(0o700).create(folder));
    let kept = folder.transpose().map_err(ReadlineError::from).and_then(|_| editor.save_history(path));
    if let Err(cause) = kept {
        warn!("the history cannot be kept in {}: {cause}", path.display());
    }
}
