//! The fallback: a compiler put together from Debian's packages, unpacked into the cache without root.
//!
//! Debian's `rustc-web` has no wasm32 library that keeps its bitcode, so the standard library is built
//! here from its source package, in a way that lets guests be linked with fat LTO. The linker is the one
//! that rustup's toolchain brings.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::rustup;
use crate::debian::{self, remove};
use crate::process;
use crate::workspace::{WASM_TARGET, cache, cargo};

/// Rises when what is put into the folder changes.
const LAYOUT: &str = "1\n";

/// The compiler, its own standard library for this machine, and the source of the one for wasm32.
const ROOT_PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src"];

/// Finds its packages' libraries wherever the folder is.
const RUSTC_WRAPPER: &str = r#"#!/bin/sh
home=$(dirname "$(dirname "$(readlink -f "$0")")")
LD_LIBRARY_PATH=$(echo "$home"/usr/lib/*-linux-gnu) exec "$home/usr/bin/rustc" "$@"
"#;

const STD_BUILDER: &str = r#"[package]
name = "std_builder"
version = "0.0.0"
edition = "2024"

[workspace]
"#;

/// Whether the toolchain is there, whole and of this layout.
pub fn is_ready() -> Result<bool> {
    let home = home()?;
    let whole = fs::read_to_string(home.join("layout")).is_ok_and(|layout| layout == LAYOUT);
    // The link into rustup's toolchain dangles after that toolchain is removed.
    Ok(whole && fs::exists(home.join("bin/rust-lld"))?)
}

/// The folder with its `rustc`.
pub fn bin() -> Result<PathBuf> {
    Ok(home()?.join("bin"))
}

/// Makes the toolchain.
///
/// # Errors
/// This is not Debian, the packages cannot be had, or the standard library does not build.
pub fn make() -> Result<()> {
    debian::make_whole(&home()?, &is_ready, &fill)
}

fn home() -> Result<PathBuf> {
    Ok(cache()?.join("wasm-toolchain"))
}

fn fill(folder: &Path) -> Result<()> {
    debian::unpack(&ROOT_PACKAGES, folder)?;
    write_wrapper(&folder.join("bin"))?;
    link_linker(folder)?;
    build_standard_library(folder)?;
    fs::write(folder.join("layout"), LAYOUT).context("cannot finish the wasm32 toolchain")
}

fn write_wrapper(bin: &Path) -> Result<()> {
    fs::create_dir_all(bin)?;
    let rustc = bin.join("rustc");
    fs::write(&rustc, RUSTC_WRAPPER).with_context(|| format!("cannot write {}", rustc.display()))?;
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Puts the pinned toolchain's linker where Debian's compiler looks for it.
fn link_linker(folder: &Path) -> Result<()> {
    let triple = host_triple(&folder.join("bin/rustc"))?;
    let tools = format!("lib/rustlib/{triple}/bin");
    let linker = rustup::sysroot()?.join(&tools).join("rust-lld");
    if !linker.is_file() {
        bail!(
            "{} is missing: the linker comes with rustup's toolchain; install Rust by rustup",
            linker.display()
        );
    }
    let expected = folder.join("usr").join(&tools);
    fs::create_dir_all(&expected)?;
    symlink(&linker, expected.join("rust-lld"))?;
    symlink(&linker, folder.join("bin/rust-lld")).context("cannot link the linker")
}

fn host_triple(rustc: &Path) -> Result<String> {
    let version = process::stdout_of(Command::new(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from).context("rustc does not say what machine it is for")
}

fn build_standard_library(folder: &Path) -> Result<()> {
    let builder = folder.join("std-builder");
    fs::create_dir_all(builder.join("src"))?;
    fs::write(builder.join("Cargo.toml"), STD_BUILDER)?;
    fs::write(builder.join("src/lib.rs"), "")?;
    let mut build = cargo(&builder);
    build
        .args(["build", "--quiet", "--release", "--target", WASM_TARGET, "-Zbuild-std=std,panic_abort"])
        .env("RUSTC", folder.join("bin/rustc"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", builder.join("target"));
    process::run(&mut build)?;
    install_libraries(&builder.join("target").join(WASM_TARGET).join("release/deps"), folder)?;
    remove(&builder)?;
    // The sources are half a gigabyte, and linked to from beside the libraries.
    ["usr/lib/rustlib/src", "usr/src", "usr/share"]
        .iter()
        .try_for_each(|sources| remove(&folder.join(sources)))
}

fn install_libraries(built: &Path, folder: &Path) -> Result<()> {
    let rustlib = folder.join("usr/lib/rustlib");
    let library = rustlib.join(WASM_TARGET).join("lib");
    fs::create_dir_all(&library)?;
    for file in built.read_dir()? {
        let name = file?.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".rlib") && !text.starts_with("libstd_builder") {
            fs::copy(built.join(&name), library.join(&name))?;
        }
    }
    // cargo component only looks whether this folder exists before it builds for another target.
    fs::create_dir_all(rustlib.join("wasm32-wasip1")).context("cannot mark the toolchain")
}
