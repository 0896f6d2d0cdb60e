//! Questions to the job's tables, answered by `host query` in a process of its own: this one needs no engine for it, a
//! question that takes too much fails by itself, and the stream comes first, since that process has a low priority.
//!
//! However many ask: one process at a time, the same question once a second, and as long a pause after each process as
//! it took. Without questions nothing runs.

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::config::JobSpec;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// So many answers are remembered, and so many bytes.
const KNOWN_MAX: usize = 32;
const KNOWN_BYTES_MAX: usize = 64 << 20;
/// How long a question waits for those before it.
const TURN_TIME_MAX: Duration = Duration::from_secs(10);
/// How long one statement may take, and its process around it.
const QUERY_TIME_MAX: &str = "10s";
const PROCESS_TIME_MAX: Duration = Duration::from_secs(15);
const QUERY_MEMORY_BYTES_MAX: &str = "268435456";
/// The rows of an answer, as text.
const ROWS_BYTES_MAX: u64 = 32 << 20;
/// Of what the process says about its failure.
const SAID_BYTES_MAX: u64 = 4 << 10;

/// The rows of an answer, a JSON object a line; or why there are none.
pub type Rows = Result<Arc<str>, Arc<str>>;

/// See the module.
pub struct Asker {
    arguments: Vec<String>,
    /// A variable that the process has no business with.
    hidden: String,
    state: Mutex<State>,
    turn: Condvar,
}

struct State {
    is_busy: bool,
    /// Nothing begins before.
    rests_until: Instant,
    /// Newest last.
    known: VecDeque<(String, Instant, Rows)>,
}

impl Asker {
    /// Asks about the job of `spec`.
    pub fn new(spec: &JobSpec, hidden: &str) -> Self {
        let path = |path: &PathBuf| path.display().to_string();
        let mut arguments =
            ["--log", "error", "query", "--format", "json", "--timeout", QUERY_TIME_MAX].to_vec();
        arguments.extend(["--memory", QUERY_MEMORY_BYTES_MAX, "--job", &spec.name, "--checkpoint"]);
        let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        arguments.push(path(&spec.checkpoint));
        if let Some(cache) = &spec.plugin_cache {
            arguments.extend(["--plugin-cache".to_owned(), path(cache)]);
        }
        let state = State { is_busy: false, rests_until: Instant::now(), known: VecDeque::new() };
        Self { arguments, hidden: hidden.to_owned(), state: Mutex::new(state), turn: Condvar::new() }
    }

    /// The rows that `sql` gives, at most a second old.
    pub fn rows(&self, sql: &str) -> Rows {
        self.rows_by(sql, &mut || self.run(sql))
    }

    fn rows_by(&self, sql: &str, run: &mut dyn FnMut() -> anyhow::Result<String>) -> Rows {
        if let Some(known) = self.take_turn(sql) {
            return known;
        }
        let begun = Instant::now();
        let rows: Rows = run().map(Into::into).map_err(|error| format!("{error:#}").into());
        let mut state = self.lock();
        state.is_busy = false;
        state.rests_until = Instant::now() + begun.elapsed();
        state.know(sql, rows.clone());
        self.turn.notify_all();
        rows
    }

    /// Waits until nobody else asks; what is known by then is given back.
    fn take_turn(&self, sql: &str) -> Option<Rows> {
        let deadline = Instant::now() + TURN_TIME_MAX;
        let mut state = self.lock();
        loop {
            if let Some(known) = state.fresh(sql) {
                return Some(known);
            }
            let now = Instant::now();
            if !state.is_busy && now >= state.rests_until {
                state.is_busy = true;
                return None;
            }
            if now >= deadline {
                return Some(Err("too many ask at the moment; ask again".into()));
            }
            let until = if state.is_busy { deadline } else { state.rests_until.min(deadline) };
            let waited = self.turn.wait_timeout(state, until.saturating_duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, sql: &str) -> anyhow::Result<String> {
        ensure!(!sql.contains('\0'), "no name and no key has a zero byte");
        // Also where its file has been replaced since.
        let mut command = Command::new("/proc/self/exe");
        command.args(&self.arguments).arg(sql).env_remove(&self.hidden);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("no process can be started to ask")?;
        let answered = answer_of(&mut child);
        if answered.is_err() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        let status = child.wait().context("the process that was asked is lost")?;
        let (rows, said) = answered?;
        ensure!(status.success(), "{}", said.trim().trim_start_matches("error: "));
        Ok(rows)
    }
}

impl State {
    fn fresh(&self, sql: &str) -> Option<Rows> {
        let known = self.known.iter().rev().find(|(of, at, _)| of == sql && at.elapsed() < FRESH);
        known.map(|(_, _, rows)| rows.clone())
    }

    fn know(&mut self, sql: &str, rows: Rows) {
        self.known.retain(|(of, at, _)| of != sql && at.elapsed() < FRESH);
        self.known.push_back((sql.to_owned(), Instant::now(), rows));
        let bytes = |known: &VecDeque<(String, Instant, Rows)>| {
            known.iter().map(|(_, _, rows)| rows.as_ref().map_or(0, |rows| rows.len())).sum::<usize>()
        };
        while self.known.len() > KNOWN_MAX || (self.known.len() > 1 && bytes(&self.known) > KNOWN_BYTES_MAX) {
            self.known.pop_front();
        }
    }
}

/// What the process writes to stdout and stderr until it ends.
fn answer_of(child: &mut Child) -> anyhow::Result<(String, String)> {
    let deadline = Instant::now() + PROCESS_TIME_MAX;
    let rows = listen(child.stdout.take(), ROWS_BYTES_MAX + 1)?;
    let said = listen(child.stderr.take(), SAID_BYTES_MAX)?;
    let late = "the answer took too long";
    let left = || deadline.saturating_duration_since(Instant::now());
    let rows = rows.recv_timeout(left()).context(late)?;
    if rows.len() as u64 > ROWS_BYTES_MAX {
        bail!("the rows take more than {ROWS_BYTES_MAX} bytes; ask for fewer with `limit`");
    }
    let said = said.recv_timeout(left()).context(late)?;
    Ok((
        String::from_utf8(rows).context("the answer is no text")?,
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// Reads on a thread of its own, so that its end need not be waited for.
fn listen(from: Option<impl Read + Send + 'static>, bytes_max: u64) -> anyhow::Result<Receiver<Vec<u8>>> {
    let from = from.context("the process has no output")?;
    let (sender, receiver) = channel();
    let read = move || {
        let mut bytes = Vec::new();
        let read = from.take(bytes_max).read_to_end(&mut bytes);
        // Whoever asked may not wait any more; what cannot be read is what a process leaves that ended.
        let _ = sender.send(if read.is_ok() { bytes } else { Vec::new() });
    };
    thread::Builder::new().name("http-rows".to_owned()).spawn(read).context("no thread can be started")?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn asker() -> Asker {
        let state = State { is_busy: false, rests_until: Instant::now(), known: VecDeque::new() };
        Asker { arguments: Vec::new(), hidden: "T".into(), state: Mutex::new(state), turn: Condvar::new() }
    }

    #[test]
    fn many_who_ask_the_same_at_once_cost_one_process() {
        let (asker, runs) = (asker(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let rows = asker.rows_by("SELECT 1", &mut || {
                        runs.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(20));
                        Ok("{}\n".to_owned())
                    });
                    assert_eq!(rows.as_deref(), Ok("{}\n"));
                });
            }
        });
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn different_questions_are_answered_one_after_the_other_and_failures_are_told() {
        let (asker, inside) = (asker(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 0..4 {
                let (asker, inside) = (&asker, &inside);
                scope.spawn(move || {
                    let rows = asker.rows_by(&format!("SELECT {number}"), &mut || {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "nobody else is inside");
                        thread::sleep(Duration::from_millis(2));
                        inside.fetch_sub(1, Ordering::SeqCst);
                        if number == 0 { bail!("none") } else { Ok(number.to_string()) }
                    });
                    let expected = number.to_string();
                    assert_eq!(
                        rows.as_deref().map_err(AsRef::as_ref),
                        if number == 0 { Err("none") } else { Ok(expected.as_str()) }
                    );
                });
            }
        });
    }

    #[test]
    fn no_more_is_remembered_than_may_be() {
        let asker = asker();
        for number in 0..100 {
            asker.lock().know(&format!("SELECT {number}"), Ok("x".into()));
        }
        assert_eq!(asker.lock().known.len(), KNOWN_MAX);
        assert!(asker.lock().fresh("SELECT 99").is_some() && asker.lock().fresh("SELECT 1").is_none());
    }
}
