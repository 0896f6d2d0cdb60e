//! The ordinary way: rustup's `rust-std` component for the pinned toolchain.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::{WASM_TARGET, root};

/// rustup retries on its own; a server that has not answered by then is taken as absent.
const ADD_LIMIT: Duration = Duration::from_secs(180);

/// Whether the pinned toolchain has the standard library already.
pub fn is_ready() -> Result<bool> {
    let library = sysroot()?.join("lib/rustlib").join(WASM_TARGET).join("lib");
    let entries = library.read_dir();
    Ok(entries.is_ok_and(|mut files| {
        files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
    }))
}

/// Adds it.
///
/// # Errors
/// There is no rustup, or it could not fetch the component in time.
pub fn add() -> Result<()> {
    if !process::on_path("rustup") {
        bail!("rustup is not on PATH");
    }
    process::run_within(
        ADD_LIMIT,
        Command::new("rustup").args(["target", "add", WASM_TARGET]).current_dir(root()),
    )
}

/// Where the pinned toolchain lies.
pub fn sysroot() -> Result<PathBuf> {
    let printed = process::stdout_of(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()))?;
    Ok(PathBuf::from(printed.trim()))
}
