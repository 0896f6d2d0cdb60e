//! A file system in memory. It keeps what a running machine sees apart from what a
//! power failure would leave: of a file the bytes that a sync has covered, of a
//! directory the names. Knows nothing of processes, faults or the order of things.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use fastrand::Rng;

/// The number of a file or directory; never used again.
pub type Ino = u64;

const ROOT: Ino = 0;
/// Torn content is torn in blocks of this size: small, as the simulated files are.
const BLOCK_BYTES: usize = 64;

/// See the module.
pub struct Disk {
    nodes: BTreeMap<Ino, Node>,
    next: Ino,
}

enum Node {
    File(Content),
    Dir(Names),
}

/// A file's bytes; they are only ever appended to.
#[derive(Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// A failed sync dropped the bytes before this that were not durable: what is
    /// seen of them is gone with the power, whatever later syncs say.
    dropped: usize,
}

/// A directory's names.
#[derive(Default)]
struct Names {
    seen: BTreeMap<String, Ino>,
    durable: BTreeMap<String, Ino>,
    /// Since the last sync, in order: made (or made anew) and removed.
    unsynced: Vec<(String, Option<Ino>)>,
}

/// What a power failure leaves of what was not synced.
#[derive(Clone, Copy)]
enum Leaves {
    Nothing,
    Everything,
    Some,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub ino: Ino,
    pub is_dir: bool,
    pub bytes: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::Dir(Names::default()))]), next: ROOT + 1 }
    }
}

impl Disk {
    pub fn create(&mut self, path: &Path) -> io::Result<Ino> {
        self.make(path, Node::File(Content::default()))
    }

    pub fn make_dir(&mut self, path: &Path) -> io::Result<Ino> {
        self.make(path, Node::Dir(Names::default()))
    }

    fn make(&mut self, path: &Path, node: Node) -> io::Result<Ino> {
        let ino = self.next;
        self.name(path, ino)?;
        self.next += 1;
        self.nodes.insert(ino, node);
        Ok(ino)
    }

    /// Gives `ino` a name that nothing has yet.
    fn name(&mut self, path: &Path, ino: Ino) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        if dir.seen.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        dir.set(name, Some(ino));
        Ok(())
    }

    pub fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let found = self.find(from)?;
        if found.is_dir {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.name(to, found.ino)
    }

    pub fn unlink(&mut self, path: &Path) -> io::Result<()> {
        if self.find(path)?.is_dir {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (dir, name) = self.parent(path)?;
        dir.set(name, None);
        Ok(())
    }

    pub fn append(&mut self, ino: Ino, bytes: &[u8]) -> io::Result<()> {
        self.file_mut(ino)?.seen.extend_from_slice(bytes);
        Ok(())
    }

    pub fn bytes(&self, ino: Ino) -> io::Result<&[u8]> {
        match self.nodes.get(&ino) {
            Some(Node::File(content)) => Ok(&content.seen),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// The names in the directory `ino` and what they name.
    pub fn list(&self, ino: Ino) -> io::Result<&BTreeMap<String, Ino>> {
        match self.nodes.get(&ino) {
            Some(Node::Dir(names)) => Ok(&names.seen),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub fn is_dir(&self, ino: Ino) -> bool {
        matches!(self.nodes.get(&ino), Some(Node::Dir(_)))
    }

    /// Makes content, or names, durable; what a failed sync dropped stays dropped.
    pub fn sync(&mut self, ino: Ino) {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(content)) => content.sync(),
            Some(Node::Dir(names)) => names.sync(),
            None => {}
        }
    }

    pub fn sync_all(&mut self) {
        let inos: Vec<Ino> = self.nodes.keys().copied().collect();
        inos.into_iter().for_each(|ino| self.sync(ino));
    }

    /// A sync of the file fails: what was not durable will never be, though it can
    /// still be read.
    pub fn drop_unsynced(&mut self, ino: Ino) {
        if let Some(Node::File(content)) = self.nodes.get_mut(&ino) {
            content.dropped = content.seen.len();
        }
    }

    pub fn drop_all_unsynced(&mut self) {
        let inos: Vec<Ino> = self.nodes.keys().copied().collect();
        inos.into_iter().for_each(|ino| self.drop_unsynced(ino));
    }

    /// The power goes and comes back. Of what was not synced nothing, all, or any
    /// part is left, as `rng` has it.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        let leaves = [Leaves::Nothing, Leaves::Everything, Leaves::Some, Leaves::Some][rng.usize(..4)];
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => content.lose_power(leaves, rng),
                Node::Dir(names) => names.lose_power(leaves, rng),
            }
        }
    }

    pub fn find(&self, path: &Path) -> io::Result<Found> {
        let mut ino = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let names = self.list(ino)?;
                let named = name.to_str().and_then(|name| names.get(name));
                ino = *named.ok_or(io::ErrorKind::NotFound)?;
            }
        }
        let bytes = self.bytes(ino).map_or(0, |bytes| bytes.len() as u64);
        Ok(Found { ino, is_dir: self.is_dir(ino), bytes })
    }

    /// The directory that `path` is named in, and its last component.
    fn parent<'a>(&mut self, path: &'a Path) -> io::Result<(&mut Names, &'a str)> {
        let invalid = io::Error::from(io::ErrorKind::InvalidInput);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Err(invalid);
        };
        let ino = self.find(parent)?.ino;
        match self.nodes.get_mut(&ino) {
            Some(Node::Dir(names)) => Ok((names, name)),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file_mut(&mut self, ino: Ino) -> io::Result<&mut Content> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(content)) => Ok(content),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

impl Content {
    fn sync(&mut self) {
        let dropped = self.durable.len()..self.dropped.max(self.durable.len());
        self.durable.clone_from(&self.seen);
        self.durable[dropped].fill(0);
    }

    fn lose_power(&mut self, leaves: Leaves, rng: &mut Rng) {
        if self.seen != self.durable && self.dropped == 0 {
            match leaves {
                Leaves::Nothing => {}
                Leaves::Everything => self.durable.clone_from(&self.seen),
                Leaves::Some => self.tear(rng),
            }
        }
        self.seen.clone_from(&self.durable);
        self.dropped = 0;
    }

    /// Leaves the first part of what was not durable, or all of it with some blocks
    /// that hold nothing or anything.
    fn tear(&mut self, rng: &mut Rng) {
        let durable = self.durable.len();
        if rng.bool() {
            let kept = rng.usize(durable..=self.seen.len());
            self.durable.extend_from_slice(&self.seen[durable..kept]);
            return;
        }
        self.durable.extend_from_slice(&self.seen[durable..]);
        for block in self.durable[durable..].chunks_mut(BLOCK_BYTES) {
            match rng.u8(..4) {
                0 => block.fill(0),
                1 => rng.fill(block),
                _ => {}
            }
        }
    }
}

impl Names {
    fn set(&mut self, name: &str, ino: Option<Ino>) {
        apply(&mut self.seen, name, ino);
        self.unsynced.push((name.to_owned(), ino));
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.seen);
        self.unsynced.clear();
    }

    /// Each name keeps the first so many of its own changes, whatever becomes of the
    /// others.
    fn lose_power(&mut self, leaves: Leaves, rng: &mut Rng) {
        let mut ended: Vec<String> = Vec::new();
        for (name, ino) in std::mem::take(&mut self.unsynced) {
            let kept = match leaves {
                Leaves::Nothing => false,
                Leaves::Everything => true,
                Leaves::Some => rng.bool(),
            };
            if kept && !ended.contains(&name) {
                apply(&mut self.durable, &name, ino);
            } else {
                ended.push(name);
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

fn apply(names: &mut BTreeMap<String, Ino>, name: &str, ino: Option<Ino>) {
    match ino {
        Some(ino) => names.insert(name.to_owned(), ino),
        None => names.remove(name),
    };
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
