//! Compiled plugins on disk, so that a start does not wait for the compiler. A file
//! that is damaged, of another engine or otherwise not as it was written is removed
//! and counts as absent; only a directory that others could write is an error. Never
//! takes compiled code from a user.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use crate::Digest;

const MAGIC: &[u8; 16] = b"speed-layer-code";
const SUM_BYTES: usize = 32;
const OTHERS_MAY_WRITE: u32 = 0o022;

/// Why the directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(
        "the directory for compiled plugins {dir} cannot be used ({source}); make it writable or name another"
    )]
    Io { dir: PathBuf, source: io::Error },
    #[error(
        "the directory for compiled plugins {dir} belongs to another user or can be written by others; code in \
         it would be run, so remove it, or name one that only this user can write"
    )]
    NotOurs { dir: PathBuf },
}

/// Compiled code that this host has made, whole.
pub(crate) struct Verified {
    bytes: Vec<u8>,
    /// Where the code begins, behind a header.
    start: usize,
}

impl Verified {
    /// Code that a process of this program has just made.
    pub fn just_compiled(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    /// The artefact without its header.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// A directory of compiled plugins.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    engine_hash: String,
}

impl Cache {
    /// Makes the directory (0700) if it is not there.
    pub fn open(dir: &Path, engine: &Engine) -> Result<Self, CacheError> {
        let io = |source| CacheError::Io { dir: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        let found = fs::symlink_metadata(dir).map_err(io)?;
        let ours = found.is_dir() && found.uid() == our_uid() && found.mode() & OTHERS_MAY_WRITE == 0;
        if !ours {
            return Err(CacheError::NotOurs { dir: dir.to_owned() });
        }
        Ok(Self { dir: dir.to_owned(), engine_hash: engine_hash(engine) })
    }

    /// The compiled code of a component, if it is there and whole.
    pub fn read(&self, component: &Digest) -> Option<Verified> {
        let path = self.path(component);
        match read_verified(&path) {
            Ok(verified) => Some(verified),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.forget(component, &error.to_string());
                None
            }
        }
    }

    /// Removes an entry that turned out to be of no use.
    pub fn forget(&self, component: &Digest, why: &str) {
        let path = self.path(component);
        tracing::warn!(file = %path.display(), why, "a compiled plugin is of no use and is compiled again");
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "it could not be removed either");
        }
    }

    /// Keeps compiled code. A failure costs the next start its time and nothing else.
    pub fn write(&self, component: &Digest, artefact: &[u8]) {
        let path = self.path(component);
        if let Err(error) = write_whole(&path, artefact) {
            tracing::warn!(file = %path.display(), %error, "a compiled plugin could not be kept for the next start");
        }
    }

    fn path(&self, component: &Digest) -> PathBuf {
        self.dir.join(format!("{}-{}.code", component.hex(), self.engine_hash))
    }
}

fn read_verified(path: &Path) -> io::Result<Verified> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut opened = OpenOptions::new().read(true).custom_flags(no_follow).open(path)?;
    let found = opened.metadata()?;
    if !found.is_file() || found.uid() != our_uid() || found.mode() & OTHERS_MAY_WRITE != 0 {
        return Err(io::Error::other("it is not a file that only this user can write"));
    }
    let mut file = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
    opened.read_to_end(&mut file)?;
    let Some((sum, artefact)) = file.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(SUM_BYTES))
    else {
        return Err(io::Error::other("it has no header of ours"));
    };
    if Sha256::digest(artefact).as_slice() != sum {
        return Err(io::Error::other("its checksum does not fit"));
    }
    Ok(Verified { bytes: file, start: MAGIC.len() + SUM_BYTES })
}

fn write_whole(path: &Path, artefact: &[u8]) -> io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let unfinished = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let written = write_to(&unfinished, artefact).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // The first error is the one to report; a file that is left over harms nobody.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn write_to(path: &Path, artefact: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&Sha256::digest(artefact))?;
    file.write_all(artefact)
}

fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Everything that decides what code the engine makes: its version, the processor's
/// features and the settings.
fn engine_hash(engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest::of(&hasher.0.finalize()).short()
}

/// The standard library's own hasher may change from one compiler to the next.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let sum = self.0.clone().finalize();
        sum.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{Limits, engine};

    fn cache(dir: &Path) -> Cache {
        Cache::open(dir, &engine::start(&Limits::default()).unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_and_the_directory_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a/b");
        let cache = cache(&dir);
        let component = Digest::of(b"component");
        assert!(cache.read(&component).is_none());
        cache.write(&component, b"code");
        assert_eq!(cache.read(&component).unwrap().bytes(), b"code");
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_that_is_not_as_it_was_written_is_removed() {
        let whole = {
            let dir = tempfile::tempdir().unwrap();
            let cache = cache(dir.path());
            cache.write(&Digest::of(b"c"), b"some code");
            fs::read(cache.path(&Digest::of(b"c"))).unwrap()
        };
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        };
        let longer = [whole.as_slice(), b"x"].concat();
        let cases =
            [Vec::new(), whole[..20].to_vec(), flipped(0), flipped(20), flipped(whole.len() - 1), longer];
        for damaged in cases {
            check_removed(&damaged);
        }
    }

    fn check_removed(damaged: &[u8]) {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let component = Digest::of(b"c");
        cache.write(&component, b"some code");
        fs::write(cache.path(&component), damaged).unwrap();
        assert!(cache.read(&component).is_none(), "{damaged:?}");
        assert!(!cache.path(&component).exists(), "{damaged:?}");
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let engine = engine::start(&Limits::default()).unwrap();
        assert!(matches!(Cache::open(dir.path(), &engine), Err(CacheError::NotOurs { .. })));
    }

    #[test]
    fn a_symbolic_link_in_the_place_of_code_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let (real, linked) = (Digest::of(b"real"), Digest::of(b"linked"));
        cache.write(&real, b"code");
        std::os::unix::fs::symlink(cache.path(&real), cache.path(&linked)).unwrap();
        assert!(cache.read(&linked).is_none());
    }
}
