//! Chromium, for the tests of the dashboard: the system's own, or Debian's package in the cache.

use anyhow::Result;

use crate::prerequisites;
use crate::unpacked::Unpacked;

/// Finds its package's libraries and fonts wherever the folder is.
const SCRIPT: &str = r#"#!/bin/sh
home=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH=$(echo "$home"/usr/lib/*-linux-gnu)
export FONTCONFIG_SYSROOT="$home" XDG_DATA_DIRS="$home/usr/share:/usr/share"
exec "$home/usr/lib/chromium/chromium" "$@"
"#;

const PACKAGED: Unpacked = Unpacked {
    title: "Chromium",
    folder: "chromium",
    packages: &["chromium", "chromium-common", "fontconfig-config", "fonts-dejavu-core"],
    wrapper: "chromium-here",
    script: SCRIPT,
    probe: "--version",
};

/// Makes sure that there is a Chromium on PATH or in the cache.
///
/// # Errors
/// There is none, it cannot be installed, and its package cannot be had.
pub fn ensure() -> Result<()> {
    PACKAGED.ensure(prerequisites::ensure(&prerequisites::FOR_BROWSING))
}
