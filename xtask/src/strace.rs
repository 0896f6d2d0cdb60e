//! strace, for the tests that trace system calls: the system's own, or Debian's package in the cache.
//!
//! Where neither can be had nothing fails here: the tests that need it do, and say why.

use anyhow::Result;

use crate::prerequisites;
use crate::unpacked::Unpacked;

/// Finds its package's libraries wherever the folder is; what is traced is not told of them.
const SCRIPT: &str = r#"#!/bin/sh
home=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH=$(echo "$home"/usr/lib/*-linux-gnu) exec "$home/usr/bin/strace" -E LD_LIBRARY_PATH "$@"
"#;

const PACKAGED: Unpacked = Unpacked {
    title: "strace",
    folder: "strace",
    packages: &["strace"],
    wrapper: "strace",
    script: SCRIPT,
    probe: "-V",
};

/// Makes sure that there is an strace on PATH or in the cache.
///
/// # Errors
/// There is none, it cannot be installed, and its package cannot be had.
pub fn ensure() -> Result<()> {
    PACKAGED.ensure(prerequisites::ensure(&prerequisites::FOR_TRACING))
}
