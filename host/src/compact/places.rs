//! Which folders a copy is made from and into: found by whatever path they are given, and never one in the other.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// Without symbolic links, as far as they exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The output.
    pub from: PathBuf,
    /// The copy.
    pub into: PathBuf,
    /// Beside the copy: where it is written.
    pub scratch: PathBuf,
}

const SCRATCH: &str = ".compacting";

impl Places {
    /// # Errors
    /// There is no such output, or the copy would lie in it, above it or in its place.
    pub fn find(from: &Path, into: &Path) -> anyhow::Result<Self> {
        let found = fs::canonicalize(from).with_context(|| {
            format!(
                "{} cannot be found; give the output of an aggregate, as `host run` has it",
                from.display()
            )
        })?;
        ensure!(found.is_dir(), "{} is no folder; give the output of an aggregate", from.display());
        let copy = resolved(into)?;
        let Some(name) = copy.file_name() else {
            bail!("{} cannot be the folder of a copy; give one with a name", into.display());
        };
        let mut scratch = name.to_owned();
        scratch.push(SCRATCH);
        let places = Self { from: found, scratch: copy.with_file_name(scratch), into: copy };
        ensure!(
            !places.into.exists() || places.into.is_dir(),
            "{} is a file; give a folder for the copy",
            into.display()
        );
        for place in [&places.into, &places.scratch] {
            ensure!(
                !is_in(place, &places.from) && !is_in(&places.from, place),
                "{} and the output {} lie one in the other, so that readers would see rows twice; give a folder for the \
                 copy that is neither in the output nor above it",
                place.display(),
                from.display()
            );
        }
        Ok(places)
    }
}

/// The path with what exists of it made canonical.
fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
    for existing in path.ancestors() {
        match fs::symlink_metadata(existing) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            _ => {
                let rest = path.strip_prefix(existing)?;
                ensure!(
                    rest.components().all(|part| matches!(part, Component::Normal(_))),
                    "{} leads through folders that are not there; give a plain path",
                    path.display()
                );
                let existing = fs::canonicalize(existing)
                    .with_context(|| format!("{} leads nowhere", existing.display()))?;
                return Ok(if rest.as_os_str().is_empty() { existing } else { existing.join(rest) });
            }
        }
    }
    bail!("nothing of {} is there", path.display())
}

/// Whether `inner` is `outer` or lies in it, by whatever path each is reached, mounts among them.
fn is_in(inner: &Path, outer: &Path) -> bool {
    let outer_is = identity(outer);
    inner.starts_with(outer)
        || outer_is.is_some() && inner.ancestors().any(|ancestor| identity(ancestor) == outer_is)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_copy_is_never_in_the_output_above_it_or_in_its_place() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("out/daily/symbol=A")).unwrap();
        fs::create_dir_all(at("out/x.compacting")).unwrap();
        fs::write(at("out/file"), "").unwrap();
        symlink(at("out/daily"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        let check = |from: &str, into: &str, told: Option<&str>| {
            let found = Places::find(&at(from), &at(into));
            match told {
                None => assert!(found.is_ok(), "{from} {into}: {found:?}"),
                Some(told) => {
                    let error = format!("{:#}", found.unwrap_err());
                    assert!(error.contains(told), "{from} {into}: {error}");
                }
            }
        };
        let within = Some("lie one in the other");
        for (from, into, told) in [
            ("out/daily", "out/joined", None),
            ("link", "out/joined/deep/er", None),
            ("out/daily", "out/daily", within),
            ("out/daily", "out/daily/", within),
            ("out/daily", "link", within),
            ("link", "out/daily/symbol=A", within),
            ("out/daily", "link/new", within),
            ("out/daily", "out/daily/../daily/x/y", within),
            ("out/daily", "out", within),
            ("out/daily", "", within),
            ("out/x.compacting", "out/x", within),
            ("nowhere", "out/joined", Some("cannot be found")),
            ("out/file", "out/joined", Some("no folder")),
            ("out/daily", "out/file", Some("is a file")),
            ("out/daily", "out/file/x", Some("leads nowhere")),
            ("out/daily", "dangling", Some("leads nowhere")),
            ("out/daily", "new/../other", Some("plain path")),
        ] {
            check(from, into, told);
        }
    }
}
