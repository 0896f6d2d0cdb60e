//! Owning the job: the lock against a second process on this machine, and the
//! generation against a first one that lost its lock without knowing. A generation
//! is a file that is created once; it names the process that claimed it.

use std::io;

use speed_layer_core::commit::Generation;

use super::PosixStore;
use super::checkpoints::{read, unlink, write_new};
use super::staging::Staging;
use crate::error::StoreError;
use crate::failpoint::fail_point;
use crate::layer::{FileLayer, LockAttempt, Owner};
use crate::layout::{GENERATION_PREFIX, UNSEALED_SUFFIX};

impl<L: FileLayer> PosixStore<L> {
    /// Takes the job's lock, unless it is held already, and makes its directories.
    pub(super) fn take_lock(&mut self) -> Result<(), StoreError> {
        if self.lock.is_some() {
            return Ok(());
        }
        self.lock_job()?;
        self.open_staging()?;
        self.sync_directories()
    }

    /// Owns the job without making any directory beside an output: for whoever
    /// repairs it and commits nothing.
    pub(crate) fn own_without_outputs(&mut self, above: Generation) -> Result<Generation, StoreError> {
        self.lock_job()?;
        self.sync_directories()?;
        self.claim_generation(above)
    }

    fn lock_job(&mut self) -> Result<(), StoreError> {
        let home = self.layout.checkpoint_dir().to_owned();
        self.ensure_dir(&home)?;
        let path = self.layout.lock_path();
        match self.layer.lock(&path).map_err(StoreError::io("lock", &path))? {
            LockAttempt::Taken(lock) => self.lock = Some(lock),
            LockAttempt::Held(owner) => return Err(StoreError::Owned { path, owner }),
        }
        fail_point("claim.after_lock");
        Ok(())
    }

    /// Unless this store owns the job, nobody may. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Owned`] with the holder, as the lock file names it.
    pub fn check_unowned(&self) -> Result<(), StoreError> {
        let path = self.layout.lock_path();
        if self.lock.is_some() {
            return Ok(());
        }
        match self.layer.probe_lock(&path).map_err(StoreError::io("look at", &path))? {
            LockAttempt::Taken(()) => Ok(()),
            LockAttempt::Held(owner) => Err(StoreError::Owned { path, owner }),
        }
    }

    fn open_staging(&mut self) -> Result<(), StoreError> {
        let places: Vec<_> = self.layout.places().iter().map(|place| place.staging.clone()).collect();
        for path in places {
            self.ensure_dir(&path)?;
            if !self.staging.contains_key(&path) {
                let staging = Staging::open(&self.layer, &path)?;
                self.staging.insert(path, staging);
            }
        }
        Ok(())
    }

    /// Claims the next free generation, durably. Only the file's name is: what it says
    /// of its process is asked for while that process runs, and not after a crash of
    /// the machine.
    pub(super) fn claim_generation(&mut self, above: Generation) -> Result<Generation, StoreError> {
        let newest = self.list_generations()?.into_iter().max().unwrap_or_default();
        let mut claim = newest.max(above).next();
        let line = format!("{}\n", self.layer.this_process());
        loop {
            match write_new(&self.layer, &self.layout.generation_path(claim), line.as_bytes()) {
                Err(StoreError::Io { cause, .. }) if cause.kind() == io::ErrorKind::AlreadyExists => {
                    claim = claim.next();
                }
                written => {
                    written?;
                    break;
                }
            }
        }
        fail_point("claim.before_dir_sync");
        self.checkpoints().sync()?;
        self.generation = claim;
        Ok(claim)
    }

    pub(super) fn list_generations(&self) -> Result<Vec<Generation>, StoreError> {
        let numbers = self.list_numbers(GENERATION_PREFIX)?;
        Ok(numbers.into_iter().map(Generation).collect())
    }

    /// Whether the process that claimed `generation` is still there. One of which
    /// nothing is recorded is not; where that cannot be read, nothing is known.
    pub(super) fn owner_runs(&self, generation: Generation) -> Result<bool, StoreError> {
        let recorded = match read(&self.layer, &self.layout.generation_path(generation)) {
            Err(StoreError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let owner = std::str::from_utf8(&recorded).ok().and_then(Owner::parse);
        Ok(owner.is_some_and(|owner| owner != self.layer.this_process() && self.layer.is_running(owner)))
    }

    /// Removes the records of earlier generations and the checkpoints and snapshots that
    /// they left unsealed, unless their process is still there: it may yet look for them.
    pub(super) fn forget_generations(&self) -> Result<(), StoreError> {
        let home = self.layout.checkpoint_dir();
        let mut forgotten = Vec::new();
        for generation in self.list_generations()? {
            if generation < self.generation && !self.owner_runs(generation)? {
                forgotten.push(generation);
            }
        }
        for entry in self.list_dir(home)? {
            let unsealed_by = entry.name.as_deref().and_then(unsealed_by);
            if let (Some(name), Some(generation)) = (entry.name, unsealed_by)
                && forgotten.contains(&generation)
            {
                unlink(&self.layer, &home.join(name))?;
            }
        }
        let records = forgotten.iter().map(|generation| self.layout.generation_path(*generation));
        records.into_iter().try_for_each(|path| unlink(&self.layer, &path))
    }
}

/// The generation in the name of an unsealed checkpoint.
fn unsealed_by(name: &str) -> Option<Generation> {
    let (_, generation) = name.strip_suffix(UNSEALED_SUFFIX)?.rsplit_once(".g")?;
    generation.parse().ok().map(Generation)
}
