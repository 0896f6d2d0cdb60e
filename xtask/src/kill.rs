//! `kill`: kills the real program at its failpoints and at random times. The program with failpoints is one of
//! its own, `host-failpoints`, so that `host` is never anything but the ordinary build.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::process::{run, step};
use crate::tally::Tally;
use crate::wasm::Preference;
use crate::workspace::{cargo, root, target};
use crate::{build, prerequisites, python};

/// As many as take a few minutes.
const ROUNDS_IN_TESTS: &str = "3";

/// Builds what is needed and plays rounds; gives the exit code of the program that does.
///
/// # Errors
/// Something is missing or cannot be built.
pub fn play(words: &[String], preference: Preference) -> Result<ExitCode> {
    prerequisites::ensure(&prerequisites::FOR_KAFKA)?;
    python::ensure()?;
    build::all(preference)?;
    let status = killer()?.args(words).status().context("cannot start the program that kills")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// The rounds that are played with every test run; one passed or one failed. Everything else is built.
///
/// # Errors
/// It cannot be built.
pub fn test() -> Result<Tally> {
    let mut killer = killer()?;
    let outcome =
        step("killing the program at every failpoint", || run(killer.args(["--rounds", ROUNDS_IN_TESTS])));
    Ok(Tally { passed: u64::from(outcome.is_ok()), failed: u64::from(outcome.is_err()) })
}

/// With `--workspace` cargo chooses the features of dependencies as it does for the tests, and compiles
/// none of them twice.
fn killer() -> Result<Command> {
    step("building the program with failpoints", || {
        let mut program = cargo(root());
        program.args(["build", "--quiet", "--release", "--workspace", "--bin", "host-failpoints"]);
        run(program.args(["--features", "speed-layer/failpoints"]))
    })?;
    run(cargo(root()).args(["build", "--quiet", "--release", "--workspace", "--bin", "kill"]))?;
    Ok(Command::new(target().join("release/kill")))
}
