//! A component's file, which somebody may be writing at this moment: it is read whole and of one state, or not
//! at all.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, ensure};

/// Which state of a file it is: another one after a write, another one when the file was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState([i64; 5]);

impl FileState {
    fn of(facts: &Metadata) -> Self {
        Self([facts.dev() as i64, facts.ino() as i64, facts.len() as i64, facts.mtime(), facts.mtime_nsec()])
    }

    /// The state that a file is in.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        std::fs::metadata(path).map(|facts| Self::of(&facts))
    }
}

/// Reads a component.
///
/// # Errors
/// The file cannot be read, is empty, or became another one meanwhile.
pub fn read_component(path: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let before = FileState::of(&file.metadata().with_context(unreadable)?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).with_context(unreadable)?;
    check(path, before, &bytes)?;
    Ok(bytes)
}

fn check(path: &Path, before: FileState, bytes: &[u8]) -> anyhow::Result<()> {
    let after = FileState::at(path).with_context(|| format!("cannot look at {}", path.display()))?;
    ensure!(before == after, "{} was replaced while it was read; try again", path.display());
    ensure!(!bytes.is_empty(), "{} is empty", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_or_written_meanwhile_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.wasm"), folder.path().join("b.wasm"));
        std::fs::write(&path, b"one").unwrap();
        assert_eq!(read_component(&path).unwrap(), b"one");
        let before = FileState::at(&path).unwrap();
        check(&path, before, b"one").unwrap();
        std::fs::write(&path, b"more").unwrap();
        assert!(check(&path, before, b"one").unwrap_err().to_string().contains("replaced while it was read"));
        let before = FileState::at(&path).unwrap();
        std::fs::write(&other, b"four").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(check(&path, before, b"more").unwrap_err().to_string().contains("a.wasm was replaced"));
    }

    #[test]
    fn an_empty_file_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.wasm");
        std::fs::write(&path, b"").unwrap();
        assert!(read_component(&path).unwrap_err().to_string().ends_with("empty.wasm is empty"));
    }
}
