//! The program under strace: everything that it asks of the file system is written down, and single calls
//! are made to fail or to kill it. What was written down is read in `trace.rs`.
//!
//! strace is taken from PATH, or from where `cargo xtask test` puts it. A machine that forbids tracing fails
//! these tests, in a sentence that says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, anyhow, bail};

use crate::places;
use crate::trace::CALLS;

/// What befalls the program. The n-th call counts from 1, within a thread; the store works in one.
#[derive(Clone, Debug)]
pub enum Mishap {
    None,
    /// SIGKILL in place of the n-th call of this name.
    Kill {
        call: &'static str,
        nth: usize,
    },
    /// Every call of these names, with commas, begins so much later.
    Slow {
        calls: &'static str,
        delay_ms: u64,
    },
    /// The n-th call of this name on this very path fails.
    Fail {
        call: String,
        errno: &'static str,
        path: PathBuf,
        nth: usize,
    },
}

/// `program` with its arguments and variables, under strace, which writes to `trace`.
///
/// # Errors
/// There is no strace, or it may not trace here.
pub fn around(program: &Command, trace: &Path, mishap: &Mishap) -> Result<Command> {
    let mut command = Command::new(strace()?);
    command.args(["-f", "-y", "-s", "160", "-o"]).arg(trace);
    match mishap {
        // In the kernel: calls that nobody asks about cost nothing.
        Mishap::None => command.args(["--seccomp-bpf", "-e", &format!("trace={CALLS}")]),
        Mishap::Kill { call, nth } => command.args([
            "-e",
            &format!("trace={CALLS}"),
            "-e",
            &format!("inject={call}:signal=KILL:when={nth}"),
        ]),
        Mishap::Slow { calls, delay_ms } => command.args([
            "--seccomp-bpf",
            "-e",
            &format!("trace={calls}"),
            "-e",
            &format!("inject={calls}:delay_enter={delay_ms}ms"),
        ]),
        Mishap::Fail { call, errno, path, nth } => {
            command.arg("-P").arg(path);
            command.args([
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={call}:error={errno}:when={nth}"),
            ])
        }
    };
    command.arg("--").arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ok(command)
}

/// A strace that works here; looked for once.
fn strace() -> Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|told| anyhow!("{told}"))
}

fn find() -> Result<PathBuf> {
    let fetched = places::cache()?.join("strace/strace");
    let program = if Command::new("strace").arg("-V").output().is_ok() {
        PathBuf::from("strace")
    } else if fetched.is_file() {
        fetched
    } else {
        bail!(
            "strace is neither on PATH nor at {}: run `cargo xtask test`, which fetches it on Debian and Ubuntu, \
             or install it your system's way",
            fetched.display()
        )
    };
    let probe = Command::new(&program).args(["-f", "-o", "/dev/null", "true"]).output()?;
    if !probe.status.success() {
        bail!(
            "strace may not trace processes here, and without a trace nothing is known about syncs: allow ptrace \
             (a container needs `--cap-add=SYS_PTRACE`; see /proc/sys/kernel/yama/ptrace_scope): {}",
            String::from_utf8_lossy(&probe.stderr).trim()
        );
    }
    Ok(program)
}
