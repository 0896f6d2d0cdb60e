//! Other readers of our Parquet (DuckDB, pyarrow, Polars), in the environment that `cargo xtask test` makes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::places;

/// The environment's interpreter.
///
/// # Errors
/// The environment is missing.
pub fn program() -> Result<PathBuf> {
    let python = places::target().join("python/bin/python");
    ensure!(python.is_file(), "{} is missing; run `cargo xtask test`", python.display());
    Ok(python)
}

/// Runs a script with arguments; gives what it printed.
///
/// # Errors
/// The environment is missing or the script fails; what it said on stderr is told.
pub fn run(script: &str, arguments: &[&str]) -> Result<String> {
    let python = program()?;
    let output =
        Command::new(python).arg("-c").arg(script).args(arguments).output().context("cannot run python")?;
    ensure!(output.status.success(), "the script failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
