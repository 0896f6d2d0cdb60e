//! The built program as a child process: what it says, how it ends, the summary on its last line.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::places;

/// What one run of the program left.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The JSON object on the last line of stdout, of a run that ended with exit code 0.
    ///
    /// # Errors
    /// The run failed, or its last line is no JSON object; all that it said is told.
    pub fn summary(&self) -> Result<Value> {
        ensure!(self.status.success(), "the host failed: {}", self.told());
        let last = self.stdout.lines().last().unwrap_or_default();
        let summary: Value = serde_json::from_str(last).with_context(|| self.told())?;
        ensure!(summary.is_object(), "the last line is no object: {}", self.told());
        Ok(summary)
    }

    /// All that it said, for messages.
    pub fn told(&self) -> String {
        format!("{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

/// Runs `host ARGS` to its end.
///
/// # Errors
/// It is not built, or takes longer than `limit`; then it is killed.
pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S], limit: Duration) -> Result<Finished> {
    let mut command = command()?;
    Running::start(command.args(arguments))?.finish(limit)
}

/// The program without arguments.
///
/// # Errors
/// It is not built.
pub fn command() -> Result<Command> {
    let program = places::target().join("release/host");
    ensure!(program.is_file(), "{} is missing; run `cargo xtask build`", program.display());
    Ok(Command::new(program))
}

/// A program that is still running. Dropping it kills it.
pub struct Running {
    child: Child,
    lines: Receiver<Line>,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

enum Line {
    Stdout(String),
    Stderr(String),
}

impl Running {
    /// Starts it with its output captured.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the host")?;
        let (sender, lines) = channel();
        let stdout = child.stdout.take().context("no stdout")?;
        let stderr = child.stderr.take().context("no stderr")?;
        let both = sender.clone();
        thread::spawn(move || each_line(stdout, |line| both.send(Line::Stdout(line)).is_ok()));
        thread::spawn(move || each_line(stderr, |line| sender.send(Line::Stderr(line)).is_ok()));
        Ok(Self { child, lines, stdout: Vec::new(), stderr: Vec::new() })
    }

    /// Waits for a line, of either stream, that holds `text`.
    ///
    /// # Errors
    /// The program ends or `limit` passes without it.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.next_line(deadline) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(_other) => {}
                Err(why) => bail!("`{text}` was not said ({why}):\n{}", self.stderr.join("\n")),
            }
        }
    }

    /// Sends a signal by name: `TERM`, `INT`, `KILL`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// There is no such process any more.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        ensure!(status.success(), "cannot send {name}");
        Ok(())
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has held so far, MiB; None once it has ended.
    pub fn peak_rss_mb(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kb: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kb / 1024)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `limit` passes; then it is killed and all that it said is told.
    pub fn finish(mut self, limit: Duration) -> Result<Finished> {
        let deadline = Instant::now() + limit;
        let timed_out = loop {
            match self.next_line(deadline) {
                Ok(_line) => {}
                Err(why) => break why == RecvTimeoutError::Timeout,
            }
        };
        if timed_out {
            self.child.kill()?;
        }
        let status = self.child.wait()?;
        let finished = Finished {
            status,
            stdout: std::mem::take(&mut self.stdout).join("\n"),
            stderr: std::mem::take(&mut self.stderr).join("\n"),
        };
        ensure!(!timed_out, "the host did not end in {} s: {}", limit.as_secs(), finished.told());
        Ok(finished)
    }

    fn next_line(&mut self, deadline: Instant) -> Result<String, RecvTimeoutError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (stream, line) = match self.lines.recv_timeout(left)? {
            Line::Stdout(line) => (&mut self.stdout, line),
            Line::Stderr(line) => (&mut self.stderr, line),
        };
        stream.push(line.clone());
        Ok(line)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends at the stream's end or when nobody listens any more.
fn each_line(stream: impl Read, mut give: impl FnMut(String) -> bool) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        if !give(String::from_utf8_lossy(&line).trim_end_matches('\n').into()) {
            return;
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        Running::start(Command::new("sh").args(["-c", script])).expect("sh starts")
    }

    #[test]
    fn the_summary_is_the_last_line_of_stdout() {
        let finished =
            shell("echo log >&2; echo first; echo '{\"records_in\": 3}'").finish(Duration::from_secs(20));
        assert_eq!(finished.and_then(|run| run.summary()).expect("a summary")["records_in"], 3);
    }

    #[test]
    fn a_failed_run_has_no_summary_and_tells_what_it_said() {
        let finished = shell("echo 'no such topic' >&2; echo '{}'; exit 1").finish(Duration::from_secs(20));
        let error = finished.and_then(|run| run.summary()).expect_err("it failed");
        assert!(error.to_string().contains("no such topic"));
    }

    #[test]
    fn a_line_can_be_awaited_and_a_signal_sent() {
        let mut running =
            shell("trap 'echo \"{}\"; exit 0' TERM; echo ready >&2; while :; do sleep 0.05; done");
        running.wait_for("ready", Duration::from_secs(20)).expect("it says so");
        running.signal("TERM").expect("it is alive");
        assert!(running.finish(Duration::from_secs(20)).expect("it ends").summary().is_ok());
    }

    #[test]
    fn a_run_that_hangs_is_killed_at_the_limit() {
        let error = shell("exec sleep 60").finish(Duration::from_millis(100)).expect_err("it hangs");
        assert!(error.to_string().contains("did not end"));
    }
}
