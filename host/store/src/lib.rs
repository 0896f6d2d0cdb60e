//! Where results and checkpoints are kept. From the bottom up: [`layer`], the few
//! file operations that everything stands on; [`layout`], which directory is what;
//! [`store`], the commit protocol's view of storage, which an object store could
//! give as well, and [`posix`], its form over files; [`checkpoint`], a checkpoint's
//! bytes, and [`chain`], how they build upon one another; [`part`], [`footer`], [`joined`] and [`letters`], what is written as Parquet,
//! and [`published`], [`committed`], [`refusals`] and [`kept_letters`], what of it is read again;
//! [`committer`], which performs the steps that `speed_layer_core::commit` decides, with
//! [`outbox`] for those that lead to a topic;
//! and for the operator [`inspect`], [`verify`](mod@verify) and [`rollback`].
//!
//! Knows nothing of Kafka and nothing of plugins.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod chain;
pub mod checkpoint;
mod commit_error;
pub mod committed;
pub mod committer;
mod container;
pub mod disk;
mod error;
pub mod failpoint;
pub mod footer;
pub mod inspect;
pub mod joined;
pub mod kept_letters;
pub mod layer;
pub mod layout;
pub mod letters;
pub mod outbox;
pub mod part;
pub mod posix;
pub mod published;
pub mod recover;
pub mod refusals;
pub mod rollback;
pub mod store;
pub mod verify;

pub use chain::{SnapshotError, SnapshotMade, SnapshotTask, Whole, read_whole};
pub use checkpoint::{Checkpoint, CheckpointError, States};
pub use commit_error::CommitError;
pub use committed::{CommittedFile, committed_files};
pub use committer::{Committed, Committer, Part, PendingCommit};
pub use disk::DiskLayer;
pub use error::StoreError;
pub use failpoint::fail_point;
pub use footer::Footer;
pub use joined::{Joined, JoinedFile};
pub use layout::Layout;
pub use outbox::{LetterSender, Outbox, OutboxError, Parcel};
pub use posix::PosixStore;
pub use published::{FileError, PublishedFile};
pub use recover::{Recovered, peek, recover, recover_with};
pub use store::{ChainStore, CommitStore};

/// A store on the local disk.
pub type DiskStore = PosixStore<DiskLayer>;
