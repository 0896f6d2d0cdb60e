//! Programs from Debian's packages without root: fetched and checked by apt, unpacked into a folder of ours.
//!
//! A folder is made beside its final place and renamed when whole, so two runs at once do not disturb each
//! other and an aborted run leaves nothing half made. What the programs need to find their libraries there is
//! the caller's business.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{self as this_process, Command};

use anyhow::{Context, Result, bail};

use crate::prerequisites;
use crate::process;

/// Makes `home` by `fill`, unless it `is_ready`.
///
/// # Errors
/// This is not Debian, or `fill` failed; nothing half made is left.
pub fn make_whole(
    home: &Path,
    is_ready: &dyn Fn() -> Result<bool>,
    fill: &dyn Fn(&Path) -> Result<()>,
) -> Result<()> {
    for program in ["apt-get", "apt-cache", "dpkg-query", "dpkg-deb"] {
        if !process::on_path(program) {
            bail!("{program} is not on PATH: programs from Debian's packages can only be had on Debian");
        }
    }
    let staging = home.with_extension(format!("making-{}", this_process::id()));
    remove(&staging)?;
    let made = fill(&staging).and_then(|()| replace(home, &staging, is_ready));
    remove(&staging)?;
    made
}

/// What appeared meanwhile is as good as ours.
fn replace(home: &Path, staging: &Path, is_ready: &dyn Fn() -> Result<bool>) -> Result<()> {
    if is_ready()? {
        return Ok(());
    }
    remove(home)?;
    fs::rename(staging, home).with_context(|| format!("cannot move what was made to {}", home.display()))
}

/// Fetches packages, and the libraries that they need and this system does not have, and unpacks all of them
/// below `folder`.
///
/// # Errors
/// They cannot be had or unpacked.
pub fn unpack(roots: &[&str], folder: &Path) -> Result<()> {
    let debs = folder.join("debs");
    fs::create_dir_all(&debs).with_context(|| format!("cannot make {}", debs.display()))?;
    if download(&packages(roots)?, &debs).is_err() {
        // Lists that are old name packages that are gone.
        prerequisites::refresh_package_lists()?;
        download(&packages(roots)?, &debs)?;
    }
    for deb in debs.read_dir()? {
        process::run(Command::new("dpkg-deb").arg("--extract").arg(deb?.path()).arg(folder))?;
    }
    remove(&debs)
}

fn download(packages: &[String], to: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    // apt's own unprivileged user could not write to the cache folder.
    download.args(["download", "--quiet=2", "-o", "APT::Sandbox::User="]).args(packages);
    process::run(download.current_dir(to))
}

/// The root packages and those of the libraries they need that this system does not have.
fn packages(roots: &[&str]) -> Result<Vec<String>> {
    let closure = match dependencies(roots) {
        Ok(closure) if !closure.is_empty() => closure,
        _ => {
            prerequisites::refresh_package_lists().with_context(|| {
                format!("the package lists do not know {}; run `sudo apt-get update`", roots.join(", "))
            })?;
            dependencies(roots)?
        }
    };
    let format = "${binary:Package} ${db:Status-Status}\n";
    let installed = process::stdout_of(Command::new("dpkg-query").args(["--show", "--showformat", format]))?;
    Ok(needed(roots, &closure, &installed))
}

fn dependencies(roots: &[&str]) -> Result<String> {
    let only_depends = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];
    process::stdout_of(
        Command::new("apt-cache")
            .args(["depends", "--recurse"])
            .args(only_depends.map(|kind| format!("--no-{kind}")))
            .args(roots),
    )
}

/// `closure` is what `apt-cache depends --recurse` prints: packages at the line's start, the edges indented.
/// Compilers and other programs among them are no libraries and stay out.
fn needed(roots: &[&str], closure: &str, installed: &str) -> Vec<String> {
    let is_installed = |package: &str| {
        installed.lines().filter_map(|line| line.strip_suffix(" installed")).any(|name| {
            name == package || name.split_once(':').is_some_and(|(name, _architecture)| name == package)
        })
    };
    closure
        .lines()
        .filter(|line| !line.starts_with([' ', '<', '|']))
        .filter(|line| roots.contains(line) || (line.starts_with("lib") && !is_installed(line)))
        .map(String::from)
        .collect()
}

/// Removes a folder with all that is in it; one that is gone already is fine.
///
/// # Errors
/// Something in it cannot be removed.
pub fn remove(folder: &Path) -> Result<()> {
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
    fn only_the_packages_asked_for_and_libraries_that_are_missing_are_fetched() {
        let closure =
            "rustc-web\n  Depends: libc6\nlibc6\ngcc\nlibllvm22\n  Depends: <virtual>\n<virtual>\nlibxml2\n";
        let installed = "libc6:amd64 installed\ngcc installed\nlibxml2:amd64 config-files\n";
        assert_eq!(needed(&["rustc-web"], closure, installed), ["rustc-web", "libllvm22", "libxml2"]);
    }
}
