//! `swap-soak`: many swaps in running jobs over a real Kafka, by a program of its own.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::process::{run, step};
use crate::tally::Tally;
use crate::wasm::Preference;
use crate::workspace::{cargo, root, target};
use crate::{build, prerequisites};

/// As much as takes less than a minute.
const IN_TESTS: [&str; 4] = ["--swaps", "60", "--groups", "20000"];

/// Builds what is needed and soaks; gives the exit code of the program that does.
///
/// # Errors
/// Something is missing or cannot be built.
pub fn play(words: &[String], preference: Preference) -> Result<ExitCode> {
    prerequisites::ensure(&prerequisites::FOR_KAFKA)?;
    build::all(preference)?;
    let status = soaker()?.args(words).status().context("cannot start the program that swaps")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// The swaps that are made with every test run; one passed or one failed. Everything else is built.
///
/// # Errors
/// It cannot be built.
pub fn test() -> Result<Tally> {
    let mut soaker = soaker()?;
    let outcome = step("swapping plugins again and again", || run(soaker.args(IN_TESTS)));
    Ok(Tally { passed: u64::from(outcome.is_ok()), failed: u64::from(outcome.is_err()) })
}

fn soaker() -> Result<Command> {
    run(cargo(root()).args(["build", "--quiet", "--release", "--workspace", "--bin", "swap-soak"]))?;
    Ok(Command::new(target().join("release/swap-soak")))
}
