//! Planted bugs: what the simulator must catch if it is worth anything. Each is a
//! shell around the file layer or the store that does one thing wrong; production
//! code has no switches for them.

mod layer;
mod store;

pub use layer::MutantLayer;
pub use store::MutantStore;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Syncs of this kind are not done.
    NoSync(SyncKind),
    /// A sync that failed is done again, and believed.
    SyncAgain,
    /// Publishing ends at the first file that is there already.
    StopAtFirstExisting,
    /// A checkpoint is sealed after its files are published.
    SealAfterPublish,
    /// A seal replaces another one of the same epoch.
    SealReplaces,
    /// Other owners are not looked for.
    RivalsUnseen,
    /// A start takes what is sealed for published.
    NoRedo,
    /// Staged names go before the published ones are durable.
    StagedGoEarly,
    /// A published file is written under its final name, byte by byte.
    PublishByCopy,
}

/// What is synced for which purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncKind {
    StagedFile,
    StagedName,
    CheckpointFile,
    SnapshotFile,
    /// The checkpoint directory after a seal.
    SealedName,
    /// The checkpoint directory at a start, for the generation and for whatever an
    /// earlier process has sealed.
    ClaimedName,
    /// A directory that a published file was linked into.
    PublishedName,
    /// A directory that another one was made in.
    DirectoryName,
    /// The file system, in place of many staged files.
    ManyStagedFiles,
    /// The file system, in place of many directories with published files.
    ManyPublishedNames,
}

/// All planted bugs, with a name for the command line.
pub const MUTANTS: [(&str, Mutant); 18] = [
    ("no-sync-of-staged-files", Mutant::NoSync(SyncKind::StagedFile)),
    ("no-sync-of-staged-names", Mutant::NoSync(SyncKind::StagedName)),
    ("no-sync-of-checkpoint-files", Mutant::NoSync(SyncKind::CheckpointFile)),
    ("no-sync-of-snapshot-files", Mutant::NoSync(SyncKind::SnapshotFile)),
    ("no-sync-of-sealed-names", Mutant::NoSync(SyncKind::SealedName)),
    ("no-sync-of-claimed-names", Mutant::NoSync(SyncKind::ClaimedName)),
    ("no-sync-of-published-names", Mutant::NoSync(SyncKind::PublishedName)),
    ("no-sync-of-new-directories", Mutant::NoSync(SyncKind::DirectoryName)),
    ("no-sync-of-many-staged-files", Mutant::NoSync(SyncKind::ManyStagedFiles)),
    ("no-sync-of-many-published-names", Mutant::NoSync(SyncKind::ManyPublishedNames)),
    ("sync-again", Mutant::SyncAgain),
    ("stop-at-first-existing", Mutant::StopAtFirstExisting),
    ("seal-after-publish", Mutant::SealAfterPublish),
    ("seal-replaces", Mutant::SealReplaces),
    ("rivals-unseen", Mutant::RivalsUnseen),
    ("no-redo", Mutant::NoRedo),
    ("staged-go-early", Mutant::StagedGoEarly),
    ("publish-by-copy", Mutant::PublishByCopy),
];

impl Mutant {
    pub fn named(name: &str) -> Option<Self> {
        MUTANTS.iter().find(|(known, _)| *known == name).map(|(_, mutant)| *mutant)
    }
}
