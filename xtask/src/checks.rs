//! `lint`, `deny` and `ci`: what must hold besides the tests.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::guests;
use crate::prerequisites;
use crate::process::{on_path, run, step};
use crate::workspace::{cargo, root};

/// Format, clippy and documentation, of the main workspace and of every guest workspace.
pub fn lint() -> Result<()> {
    prerequisites::ensure(&prerequisites::FOR_BUILDING)?;
    let guests = guests::all();
    step("checking the format", || {
        run(cargo(root()).args(["fmt", "--all", "--check"]))?;
        run(cargo(&root().join("fuzz")).args(["fmt", "--check"]))?;
        guests.iter().try_for_each(|guests| run(cargo(&guests.workspace).args(["fmt", "--all", "--check"])))
    })?;
    step("clippy", || {
        let everything = ["clippy", "--release", "--workspace", "--all-targets"];
        run(warnings_are_errors(cargo(root()).args(everything)))?;
        let mut failpoints = cargo(root());
        failpoints.args(everything).args(["--features", "speed-layer/failpoints,speed-layer/unlimited"]);
        run(warnings_are_errors(&mut failpoints))?;
        guests
            .iter()
            .try_for_each(|guests| run(warnings_are_errors(guests.cargo("clippy").arg("--all-targets"))))
    })?;
    step("checking the documentation", || {
        let mut docs = cargo(root());
        docs.args(["doc", "--release", "--workspace", "--no-deps", "--document-private-items"]);
        run(docs.env("RUSTDOCFLAGS", "-D warnings"))?;
        guests.iter().try_for_each(|guests| {
            run(guests.cargo("doc").arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings"))
        })
    })
}

fn warnings_are_errors(clippy: &mut Command) -> &mut Command {
    clippy.args(["--", "-D", "warnings"])
}

/// cargo-deny's checks, but for the advisories, whose list has to be fetched anew each time.
///
/// Licences, sources and doubled crates are also held by tests (`tests/tests/tidy`), so a machine
/// without cargo-deny checks them all the same.
pub fn deny() -> Result<()> {
    if !on_path("cargo-deny") {
        eprintln!("==> cargo-deny: not run, it is not installed (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    step("cargo-deny", || run(cargo(root()).args(["deny", "check", "bans", "licenses", "sources"])))
}

/// Runs the script that CI runs, with CI's strictness.
pub fn ci() -> Result<ExitCode> {
    let script = root().join(".ci/run");
    let status = Command::new("bash").arg(&script).env("CI", "true").status();
    let status = status.with_context(|| format!("cannot run {}", script.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
