//! `sim`: the simulator of commits, built if need be. What its words mean is its own business.

use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::process::{run, step};
use crate::workspace::{cargo, root, target};

const NIGHTLY_SEEDS: u64 = 20_000;
const SECONDS_A_DAY: u64 = 86_400;

/// Plays seeds; gives the simulator's exit code.
///
/// # Errors
/// It cannot be built or started.
pub fn play(words: &[String]) -> Result<ExitCode> {
    let status = simulator()?.args(words).status().context("cannot start the simulator")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Plays seeds that no other night has played.
///
/// # Errors
/// One of them broke a rule; the simulator has said which.
pub fn nightly() -> Result<()> {
    let now = SystemTime::UNIX_EPOCH.elapsed().context("the clock is before 1970")?;
    let first = now.as_secs() / SECONDS_A_DAY * NIGHTLY_SEEDS;
    step(&format!("{NIGHTLY_SEEDS} seeds from {first} on"), || {
        let seeds = [NIGHTLY_SEEDS.to_string(), first.to_string()];
        run(simulator()?.args(["--seeds", &seeds[0], "--seed", &seeds[1]]))
    })
}

/// With `--workspace` cargo chooses the features of dependencies as it does for the tests, and compiles
/// none of them twice.
fn simulator() -> Result<Command> {
    run(cargo(root()).args(["build", "--quiet", "--release", "--workspace", "--bin", "sim"]))?;
    Ok(Command::new(target().join("release/sim")))
}
