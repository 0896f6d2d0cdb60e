//! What must hold, judged from the disk alone, as a reader sees it: after every change
//! that any process makes, after a power failure, and at the end. It knows the names
//! of the directories and the format of the files, and nothing of how they are made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use speed_layer_core::commit::{Digest, Epoch, OutputId, PartName};
use speed_layer_store::checkpoint;
use speed_layer_store::part::digest_of_bytes;

use crate::disk::{Disk, Ino};
use crate::reader::{Row, RowId, read_rows};
use crate::truth::{Group, Sum, Truth};

/// A rule that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Violation {
    pub rule: &'static str,
    pub detail: String,
}

impl Violation {
    pub fn new(rule: &'static str, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into() }
    }

    pub fn sync_again(path: &Path) -> Self {
        Self::new("a failed sync is not tried again", path.display().to_string())
    }
}

/// Where a job's directories are.
#[derive(Debug, Clone)]
pub struct Places {
    pub roots: Vec<(OutputId, PathBuf)>,
    pub checkpoints: PathBuf,
    pub staging: Vec<PathBuf>,
}

/// See the module.
pub struct Watcher {
    places: Places,
    truth: Arc<Truth>,
    /// What a commit that was ever sealed may publish.
    sealed: BTreeSet<(OutputId, PathBuf, Digest)>,
    checkpoints_seen: BTreeSet<Ino>,
    /// What a reader saw last; with the length, since a file may not grow.
    visible: BTreeMap<PathBuf, (Ino, usize)>,
    /// What a process said is there for good.
    promised: BTreeSet<PathBuf>,
    moved: BTreeSet<PathBuf>,
    /// Every row that a reader ever saw, and where.
    rows: BTreeMap<RowId, (PathBuf, Sum)>,
    /// What is in the files; two outputs may hold the same bytes and mean others.
    read: BTreeMap<(OutputId, Digest), Vec<Row>>,
}

const WHOLE: &str = "a reader sees whole files only";
const COMMITTED: &str = "a reader sees committed files only";
const ONCE: &str = "every window and record is seen once";
const KEPT: &str = "what a reader saw stays";
const DURABLE: &str = "what a process said is durable survives a power failure";
const TRUE: &str = "no row says what the records do not";
const ALL: &str = "at the end everything is there";

impl Watcher {
    pub fn new(places: Places, truth: Arc<Truth>) -> Self {
        Self {
            places,
            truth,
            sealed: BTreeSet::new(),
            checkpoints_seen: BTreeSet::new(),
            visible: BTreeMap::new(),
            promised: BTreeSet::new(),
            moved: BTreeSet::new(),
            rows: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// A look while the machine runs: what was seen before is still there.
    pub fn look(&mut self, disk: &Disk) -> Result<(), Violation> {
        let before = std::mem::take(&mut self.visible);
        self.see(disk, &before)?;
        match before.keys().find(|path| !self.visible.contains_key(*path)) {
            None => Ok(()),
            Some(path) => Err(Violation::new(KEPT, format!("{} is gone", path.display()))),
        }
    }

    /// The first look after a power failure: what was promised is still there, and
    /// every byte is looked at again.
    pub fn look_after_power_loss(&mut self, disk: &Disk) -> Result<(), Violation> {
        self.checkpoints_seen.clear();
        self.visible.clear();
        self.see(disk, &BTreeMap::new())?;
        match self.promised.iter().find(|path| !self.visible.contains_key(*path)) {
            None => Ok(()),
            Some(path) => Err(Violation::new(DURABLE, format!("{} is gone", path.display()))),
        }
    }

    fn see(&mut self, disk: &Disk, before: &BTreeMap<PathBuf, (Ino, usize)>) -> Result<(), Violation> {
        self.see_checkpoints(disk);
        for (output, root) in self.places.roots.clone() {
            for (path, ino) in parquet_files(disk, &root) {
                let bytes = disk.bytes(ino).unwrap_or_default();
                if before.get(&path) != Some(&(ino, bytes.len())) {
                    self.see_file(&output, &root, &path, bytes)?;
                }
                self.visible.insert(path, (ino, bytes.len()));
            }
        }
        Ok(())
    }

    fn see_checkpoints(&mut self, disk: &Disk) {
        let sealed = |name: &str| name.strip_prefix("ckpt-").is_some_and(|rest| rest.parse::<u64>().is_ok());
        for (name, ino) in names(disk, &self.places.checkpoints) {
            if sealed(&name)
                && self.checkpoints_seen.insert(ino)
                && let Ok(found) = checkpoint::decode(disk.bytes(ino).unwrap_or_default())
            {
                let listed = found.manifest.publish.into_iter();
                self.sealed
                    .extend(listed.map(|entry| (entry.output, PathBuf::from(entry.path), entry.sha256)));
            }
        }
    }

    fn see_file(
        &mut self,
        output: &OutputId,
        root: &Path,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        if self.moved.contains(path) {
            return Err(Violation::new(ONCE, format!("{} was moved away and came back", path.display())));
        }
        let digest = digest_of_bytes(bytes);
        let key = (output.clone(), digest);
        let rows = match self.read.get(&key) {
            Some(rows) => rows.clone(),
            None => read_rows(output, bytes)
                .map_err(|cause| Violation::new(WHOLE, format!("{}: {cause}", path.display())))?,
        };
        let below = path.strip_prefix(root).unwrap_or(path).to_owned();
        if !self.sealed.contains(&(output.clone(), below, digest)) {
            return Err(Violation::new(COMMITTED, path.display().to_string()));
        }
        rows.iter().try_for_each(|row| self.see_row(path, row))?;
        self.read.insert(key, rows);
        Ok(())
    }

    fn see_row(&mut self, path: &Path, (id, sum): &Row) -> Result<(), Violation> {
        if !self.is_possible(id, sum) {
            return Err(Violation::new(TRUE, format!("{id:?} {sum:?} in {}", path.display())));
        }
        let (first, _) = self.rows.entry(id.clone()).or_insert_with(|| (path.to_owned(), *sum));
        if first != path {
            let (first, second) = (first.display(), path.display());
            return Err(Violation::new(ONCE, format!("{id:?} in {first} and in {second}")));
        }
        Ok(())
    }

    fn is_possible(&self, id: &RowId, sum: &Sum) -> bool {
        match id {
            RowId::Group(group) => {
                self.truth.groups.get(group).is_some_and(|all| (1..=all.count).contains(&sum.count))
            }
            RowId::Dead(partition, offset) => {
                self.truth.record(*partition, *offset).is_some_and(|record| record.malformed)
            }
            RowId::Late(_, partition, offset) => {
                self.truth.record(*partition, *offset).is_some_and(|record| !record.malformed)
            }
        }
    }

    /// What is visible of this and earlier epochs is there for good.
    pub fn promise(&mut self, through: Epoch) {
        let epoch = |path: &Path| PartName::parse(path.file_name()?.to_str()?).map(|name| name.epoch);
        let covered = |path: &&PathBuf| epoch(path).is_some_and(|epoch| epoch <= through);
        self.promised.extend(self.visible.keys().filter(covered).cloned());
    }

    /// Removes published files for good, as their owner may after a clean end.
    pub fn move_away(&mut self, disk: &mut Disk, mut chosen: impl FnMut(&Path) -> bool) -> Vec<PathBuf> {
        let moved: Vec<PathBuf> = self.visible.keys().filter(|path| chosen(path)).cloned().collect();
        for path in &moved {
            // It was visible, so it is there.
            let parent = path.parent().and_then(|dir| disk.find(dir).ok());
            if disk.unlink(path).is_ok()
                && let Some(parent) = parent
            {
                disk.sync(parent.ino);
            }
            self.visible.remove(path);
            self.promised.remove(path);
        }
        self.moved.extend(moved.iter().cloned());
        moved
    }

    /// After the last clean end: `open` is what the job still holds.
    pub fn judge_end(&self, disk: &Disk, open: &BTreeMap<Group, Sum>) -> Result<(), Violation> {
        let is_kept = |path: &PathBuf| self.visible.contains_key(path) || self.moved.contains(path);
        if let Some((id, (path, _))) = self.rows.iter().find(|(_, (path, _))| !is_kept(path)) {
            return Err(Violation::new(KEPT, format!("{id:?} of {} is gone", path.display())));
        }
        self.judge_records()?;
        self.judge_groups(open)?;
        let staging = self.places.staging.iter();
        match staging.flat_map(|dir| names(disk, dir)).next() {
            None => Ok(()),
            Some((name, _)) => Err(Violation::new(ALL, format!("{name} is left in the staging directory"))),
        }
    }

    fn judge_records(&self) -> Result<(), Violation> {
        let dead = self.rows.keys().filter(|id| matches!(id, RowId::Dead(..))).count();
        if dead == self.truth.malformed() {
            return Ok(());
        }
        let detail = format!("{dead} dead letters of {} malformed records", self.truth.malformed());
        Err(Violation::new(ALL, detail))
    }

    /// Of every group: what is published, late and still open are its records.
    fn judge_groups(&self, open: &BTreeMap<Group, Sum>) -> Result<(), Violation> {
        let mut found = open.clone();
        for (id, (_, sum)) in &self.rows {
            if let Some(group) = self.group_of(id) {
                found.entry(group).or_default().add(*sum);
            }
        }
        let expected = &self.truth.groups;
        let groups: BTreeSet<&Group> = found.keys().chain(expected.keys()).collect();
        for group in groups {
            let (found, expected) = (found.get(group), expected.get(group));
            if found != expected {
                return Err(Violation::new(ALL, format!("{group:?} is {found:?} in place of {expected:?}")));
            }
        }
        Ok(())
    }

    fn group_of(&self, id: &RowId) -> Option<Group> {
        match id {
            RowId::Group(group) => Some(group.clone()),
            RowId::Dead(..) => None,
            RowId::Late(name, partition, offset) => {
                let aggregate = self.truth.aggregates.iter().find(|aggregate| aggregate.name == name)?;
                Some(Truth::group(aggregate, self.truth.record(*partition, *offset)?))
            }
        }
    }
}

/// All files that `**/*.parquet` finds at or below `dir`.
fn parquet_files(disk: &Disk, dir: &Path) -> Vec<(PathBuf, Ino)> {
    let mut found = Vec::new();
    for (name, ino) in names(disk, dir) {
        let path = dir.join(&name);
        if disk.is_dir(ino) {
            found.extend(parquet_files(disk, &path));
        } else if name.ends_with(".parquet") {
            found.push((path, ino));
        }
    }
    found
}

/// What is named in a directory; nothing if it is not there.
fn names(disk: &Disk, dir: &Path) -> Vec<(String, Ino)> {
    let listed = disk.find(dir).and_then(|found| disk.list(found.ino));
    listed.map(|names| names.iter().map(|(name, ino)| (name.clone(), *ino)).collect()).unwrap_or_default()
}
