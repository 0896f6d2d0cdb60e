//! The second half of `nightly`: the plugin authors' other way of building, `cargo component build`, in every plugin's folder.
//!
//! Not part of CI: cargo-component takes minutes to install.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{on_path, run, stdout_of, step};
use crate::wasm::{self, Preference, Toolchain};
use crate::workspace::{WASM_TARGET, cargo, root, target};

const CARGO_COMPONENT: &str = "0.21.1";

/// Builds each plugin as its author would, and checks that a component came out and no source changed.
pub fn component_builds(preference: Preference) -> Result<()> {
    install()?;
    let toolchain = wasm::ensure(preference)?;
    for guests in crate::guests::all().iter().filter(|guests| guests.workspace.ends_with("plugins")) {
        for folder in guests.folders()? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            step(&format!("cargo component build: {name}"), || build(&folder, &toolchain))?;
        }
    }
    Ok(())
}

fn install() -> Result<()> {
    if on_path("cargo-component") {
        return Ok(());
    }
    step("installing cargo-component", || {
        run(cargo(root()).args(["install", "--locked", "cargo-component", "--version", CARGO_COMPONENT]))
    })
}

fn build(folder: &Path, toolchain: &Toolchain) -> Result<()> {
    let out = target().join("component-check");
    let mut component = cargo(folder);
    component.args(["component", "build", "--release", "--target", WASM_TARGET, "--target-dir"]).arg(&out);
    if let Some(bin) = toolchain.bin() {
        component.env("PATH", path_with(bin)?).env("RUSTC", bin.join("rustc"));
    }
    run(&mut component)?;
    refuse_changed_sources(folder)
}

/// cargo component asks the `rustc` on PATH where its targets lie.
fn path_with(bin: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::iter::once(bin.to_path_buf()).chain(env::split_paths(&path)).collect();
    env::join_paths(folders).context("PATH cannot be extended")
}

/// A `[package.metadata.component]` section would make cargo component write bindings into `src`.
fn refuse_changed_sources(folder: &Path) -> Result<()> {
    if folder.join("src/bindings.rs").exists() {
        bail!(
            "cargo component wrote {}/src/bindings.rs; remove the manifest's component section",
            folder.display()
        );
    }
    stdout_of(cargo(folder).args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))
        .map(|_unchanged_lock| ())
        .context("cargo component changed the lock file")
}
