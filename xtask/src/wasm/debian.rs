//! The fallback: a compiler put together from Debian's packages, unpacked into the cache without root.
//!
//! Debian's `rustc-web` has no wasm32 library that keeps its bitcode, so the standard library is built
//! here from its source package, in a way that lets guests be linked with fat LTO. The linker is the one
//! that rustup's toolchain brings. Everything is made in a folder beside the final one and renamed when
//! whole, so two runs at once do not disturb each other and an aborted run leaves nothing half made.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{self as this_process, Command};

use anyhow::{Context, Result, bail};

use super::rustup;
use crate::prerequisites;
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
    for program in ["apt-get", "apt-cache", "dpkg-query", "dpkg-deb"] {
        if !process::on_path(program) {
            bail!("{program} is not on PATH: a compiler from Debian's packages can only be made on Debian");
        }
    }
    let home = home()?;
    let staging = home.with_extension(format!("making-{}", this_process::id()));
    remove(&staging)?;
    let made = fill(&staging).and_then(|()| replace(&home, &staging));
    remove(&staging)?;
    made
}

fn home() -> Result<PathBuf> {
    Ok(cache()?.join("wasm-toolchain"))
}

fn fill(folder: &Path) -> Result<()> {
    unpack_packages(folder)?;
    write_wrapper(&folder.join("bin"))?;
    link_linker(folder)?;
    build_standard_library(folder)?;
    fs::write(folder.join("layout"), LAYOUT).context("cannot finish the wasm32 toolchain")
}

/// A toolchain that appeared meanwhile is as good as ours.
fn replace(home: &Path, staging: &Path) -> Result<()> {
    if is_ready()? {
        return Ok(());
    }
    remove(home)?;
    fs::rename(staging, home).with_context(|| format!("cannot move the toolchain to {}", home.display()))
}

fn unpack_packages(folder: &Path) -> Result<()> {
    let debs = folder.join("debs");
    fs::create_dir_all(&debs).with_context(|| format!("cannot make {}", debs.display()))?;
    let packages = packages()?;
    // apt's own unprivileged user could not write to the cache folder.
    let mut download = Command::new("apt-get");
    download.args(["download", "--quiet=2", "-o", "APT::Sandbox::User="]).args(&packages);
    process::run(download.current_dir(&debs))?;
    for deb in debs.read_dir()? {
        process::run(Command::new("dpkg-deb").arg("--extract").arg(deb?.path()).arg(folder))?;
    }
    remove(&debs)
}

/// The root packages and those of the libraries they need that this system does not have.
fn packages() -> Result<Vec<String>> {
    let closure = match dependencies() {
        Ok(closure) if !closure.is_empty() => closure,
        _ => {
            prerequisites::refresh_package_lists()
                .context("the package lists do not know rustc-web; run `sudo apt-get update`")?;
            dependencies()?
        }
    };
    let format = "${binary:Package} ${db:Status-Status}\n";
    let installed = process::stdout_of(Command::new("dpkg-query").args(["--show", "--showformat", format]))?;
    Ok(needed(&closure, &installed))
}

fn dependencies() -> Result<String> {
    let only_depends = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];
    process::stdout_of(
        Command::new("apt-cache")
            .args(["depends", "--recurse"])
            .args(only_depends.map(|kind| format!("--no-{kind}")))
            .args(ROOT_PACKAGES),
    )
}

/// `closure` is what `apt-cache depends --recurse` prints: packages at the line's start, the edges indented.
/// Compilers and other programs among them are no libraries and stay out.
fn needed(closure: &str, installed: &str) -> Vec<String> {
    let is_installed = |package: &str| {
        installed.lines().filter_map(|line| line.strip_suffix(" installed")).any(|name| {
            name == package || name.split_once(':').is_some_and(|(name, _architecture)| name == package)
        })
    };
    let is_root = |package: &str| ROOT_PACKAGES.contains(&package);
    closure
        .lines()
        .filter(|line| !line.starts_with([' ', '<', '|']))
        .filter(|line| is_root(line) || (line.starts_with("lib") && !is_installed(line)))
        .map(String::from)
        .collect()
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

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_compiler_and_libraries_that_are_missing_are_fetched() {
        let closure =
            "rustc-web\n  Depends: libc6\nlibc6\ngcc\nlibllvm22\n  Depends: <virtual>\n<virtual>\nlibxml2\n";
        let installed = "libc6:amd64 installed\ngcc installed\nlibxml2:amd64 config-files\n";
        assert_eq!(needed(closure, installed), ["rustc-web", "libllvm22", "libxml2"]);
    }
}
