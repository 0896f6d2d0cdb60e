//! Where things lie: the repository, its build directories, the per-user cache.
//!
//! Nothing is made here; whoever writes to a place makes it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The only target that plugins are built for.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The repository's root: the parent of this crate's folder.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The directory that cargo builds the main workspace into.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The product's program.
pub fn host() -> PathBuf {
    target().join("release/host")
}

/// What survives `cargo clean` and is shared by clones: toolchains and broker jars.
pub fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set, so there is no cache folder")?)
            .join(".cache"),
    };
    Ok(base.join("speed-layer"))
}

/// A cargo command in `folder`, by the same cargo that runs this program.
pub fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    command
}
