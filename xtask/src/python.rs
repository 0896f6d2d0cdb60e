//! The Python environment with the other readers of our Parquet, as pinned in `tests/python/requirements.txt`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::prerequisites;
use crate::process::{run, step};
use crate::workspace::{root, target};

/// Makes the environment, or finds it as it should be.
///
/// # Errors
/// There is no python3 that can make environments, or a package cannot be had.
pub fn ensure() -> Result<()> {
    let environment = target().join("python");
    let requirements = root().join("tests/python/requirements.txt");
    let wanted = fs::read_to_string(&requirements).context("cannot read the Python requirements")?;
    let stamp = environment.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    prerequisites::ensure(&prerequisites::FOR_PYTHON)?;
    step("installing the Python readers", || install(&environment, &requirements))?;
    fs::write(&stamp, wanted).context("cannot mark the Python environment as whole")
}

fn install(environment: &PathBuf, requirements: &PathBuf) -> Result<()> {
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut pip = Command::new(environment.join("bin/python"));
    run(pip.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))
}
