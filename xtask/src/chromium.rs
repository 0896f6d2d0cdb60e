//! Chromium, for the tests of the dashboard: the system's own, or Debian's package in the cache.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{stdout_of, step};
use crate::workspace::cache;
use crate::{debian, prerequisites};

/// Finds its package's libraries and fonts wherever the folder is.
const WRAPPER: &str = r#"#!/bin/sh
home=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH=$(echo "$home"/usr/lib/*-linux-gnu)
export FONTCONFIG_SYSROOT="$home" XDG_DATA_DIRS="$home/usr/share:/usr/share"
exec "$home/usr/lib/chromium/chromium" "$@"
"#;

/// Makes sure that there is a Chromium on PATH or in the cache.
///
/// # Errors
/// There is none, it cannot be installed, and its package cannot be had.
pub fn ensure() -> Result<()> {
    let Err(not_installed) = prerequisites::ensure(&prerequisites::FOR_BROWSING) else { return Ok(()) };
    let home = cache()?.join("chromium");
    let is_ready = || Ok(works(&home));
    if is_ready()? {
        return Ok(());
    }
    step("unpacking Chromium from Debian's packages", || debian::make_whole(&home, &is_ready, &fill))
        .with_context(|| format!("{not_installed:#}"))
}

fn fill(folder: &Path) -> Result<()> {
    debian::unpack(&["chromium", "chromium-common", "fontconfig-config", "fonts-dejavu-core"], folder)?;
    let wrapper = wrapper(folder);
    fs::write(&wrapper, WRAPPER).with_context(|| format!("cannot write {}", wrapper.display()))?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    stdout_of(Command::new(&wrapper).arg("--version")).map(drop).context("what was unpacked does not start")
}

fn works(home: &Path) -> bool {
    wrapper(home).is_file() && stdout_of(Command::new(wrapper(home)).arg("--version")).is_ok()
}

fn wrapper(home: &Path) -> PathBuf {
    home.join("chromium-here")
}
