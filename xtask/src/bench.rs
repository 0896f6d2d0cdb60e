//! `bench`: the same job on this host and on its peers, side by side, by a program of its own.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::process::run;
use crate::wasm::Preference;
use crate::workspace::{cargo, root, target};
use crate::{build, prerequisites};

/// Builds what is needed and measures; gives the exit code of the program that does.
///
/// # Errors
/// Something is missing or cannot be built.
pub fn play(words: &[String], preference: Preference) -> Result<ExitCode> {
    prerequisites::ensure(&prerequisites::FOR_KAFKA)?;
    prerequisites::ensure(&prerequisites::FOR_PYTHON)?;
    build::all(preference)?;
    let programs = ["--bin", "bench", "--bin", "bench-floor"];
    run(cargo(root()).args(["build", "--quiet", "--release", "--workspace"]).args(programs))?;
    let mut bench = Command::new(target().join("release/bench"));
    let status = bench.args(words).status().context("cannot start the program that measures")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
