//! Running other programs: with their output shown, captured, or bounded in time.
//!
//! Every failure names the command line, so that it can be repeated by hand.

use std::env;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs with this process's own stdin, stdout and stderr.
pub fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Runs and gives back stdout; stderr becomes part of the error.
pub fn stdout_of(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs quietly and ends the program when it takes longer than `limit`.
pub fn run_within(limit: Duration, command: &mut Command) -> Result<()> {
    let line = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let (sender, receiver) = mpsc::channel();
    let mut errors = child.stderr.take();
    thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is only missing from the message below.
        let _ = errors.as_mut().map(|pipe| pipe.read_to_end(&mut text));
        let _ = sender.send(text);
    });
    let Ok(text) = receiver.recv_timeout(limit) else {
        child.kill().with_context(|| format!("cannot end `{line}`"))?;
        child.wait().with_context(|| format!("cannot wait for `{line}`"))?;
        bail!("`{line}` gave no answer in {} s", limit.as_secs());
    };
    let status = child.wait().with_context(|| format!("cannot wait for `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}: {}", String::from_utf8_lossy(&text).trim());
    }
    Ok(())
}

/// Whether PATH has `program`.
pub fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Announces a piece of work on stderr and says how long it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {what}");
    let began = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "took" } else { "failed after" };
    eprintln!("    {verdict} {:.1} s: {what}", began.elapsed().as_secs_f64());
    result
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended_at_the_limit() {
        let began = Instant::now();
        let error = run_within(Duration::from_millis(200), Command::new("sleep").arg("60"));
        assert!(error.is_err_and(|error| error.to_string().contains("`sleep 60` gave no answer")));
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error =
            run_within(Duration::from_secs(30), Command::new("sh").args(["-c", "echo no >&2; exit 3"]));
        let message = format!("{:#}", error.expect_err("it exits with 3"));
        assert!(message.contains("sh -c") && message.contains("no"), "{message}");
    }
}
