//! strace, for the tests that trace system calls: the system's own, or Debian's package in the cache.
//!
//! Where neither can be had nothing fails here: the tests that need it do, and say why.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{stdout_of, step};
use crate::workspace::cache;
use crate::{debian, prerequisites};

/// Finds its package's libraries wherever the folder is; what is traced is not told of them.
const WRAPPER: &str = r#"#!/bin/sh
home=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH=$(echo "$home"/usr/lib/*-linux-gnu) exec "$home/usr/bin/strace" -E LD_LIBRARY_PATH "$@"
"#;

/// Makes sure that there is an strace on PATH or in the cache.
///
/// # Errors
/// There is none, it cannot be installed, and its package cannot be had.
pub fn ensure() -> Result<()> {
    let Err(not_installed) = prerequisites::ensure(&prerequisites::FOR_TRACING) else { return Ok(()) };
    let home = cache()?.join("strace");
    let is_ready = || Ok(works(&home));
    if is_ready()? {
        return Ok(());
    }
    step("unpacking strace from Debian's package", || debian::make_whole(&home, &is_ready, &fill))
        .with_context(|| format!("{not_installed:#}"))
}

fn fill(folder: &Path) -> Result<()> {
    debian::unpack(&["strace"], folder)?;
    let wrapper = wrapper(folder);
    fs::write(&wrapper, WRAPPER).with_context(|| format!("cannot write {}", wrapper.display()))?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn works(home: &Path) -> bool {
    wrapper(home).is_file() && stdout_of(Command::new(wrapper(home)).arg("-V")).is_ok()
}

fn wrapper(home: &Path) -> PathBuf {
    home.join("strace")
}
