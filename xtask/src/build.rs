//! `build` and `demo`: the program and the components, from nothing.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::process::{run, step};
use crate::wasm::{self, Preference};
use crate::workspace::{cargo, host, root};
use crate::{guests, prerequisites};

/// Leaves `target/release/host` and the components at `target/plugins/`.
pub fn all(preference: Preference) -> Result<()> {
    prerequisites::ensure(&prerequisites::FOR_BUILDING)?;
    let toolchain = wasm::ensure(preference)?;
    step("building the host", || run(&mut host_build()))?;
    for guests in guests::all() {
        step(&format!("building and packing {}", guests.name()), || guests.build(&toolchain))?;
    }
    Ok(())
}

/// With `--workspace` and the examples cargo chooses the features of dependencies as it does for the tests.
/// Without, `cargo xtask test` would compile wasmtime, and much else, twice.
fn host_build() -> Command {
    let mut build = cargo(root());
    build.args(["build", "--release", "--workspace", "--bins", "--examples"]);
    build
}

/// Builds, then runs the host's own demonstration; gives back its exit code.
pub fn demo(preference: Preference) -> Result<ExitCode> {
    all(preference)?;
    let status = Command::new(host()).arg("demo").status().context("cannot start the built host")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
