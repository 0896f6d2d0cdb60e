//! Where the tests find what `cargo xtask build` leaves, and where they may write.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository's root.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Cargo's build directory.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A component that the build packed: `plugin("ohlcv")`.
pub fn plugin(name: &str) -> PathBuf {
    target().join("plugins").join(name).with_extension("wasm")
}

/// A component that only tests use: `test_plugin("naughty")`.
pub fn test_plugin(name: &str) -> PathBuf {
    target().join("test-plugins").join(name).with_extension("wasm")
}

/// What is fetched once for all clones.
///
/// # Errors
/// Neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(base.join("speed-layer"))
}
