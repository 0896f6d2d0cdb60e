//! The commit protocol as values and decisions: what a commit does next, what a
//! start does with what it finds, what may be dropped. Nothing here touches a
//! disk or reads a clock; the store performs the steps and reports back what it
//! saw, and a simulator can do the same with every interleaving of crash and
//! fault.
//!
//! The protocol in five lines. Results are *staged*: written whole, under names
//! that nobody reads, and synced. A checkpoint that lists them is *sealed* by one
//! link that never replaces: the only commit point. Then each file is *published*
//! by a link of its own, in any order, as often as it takes. A start redoes the
//! publishing of the newest checkpoint and goes on from its offsets. Nothing is
//! ever computed again under a name that was used before. Letters for a topic are staged
//! and sealed likewise, and then sent as an *outbox*, once every file is published.

mod chain;
mod hold;
mod manifest;
mod names;
mod outbox;
mod retain;
mod rollback;
mod start;
mod steps;

pub use chain::{ChainLink, ChainProblem, SnapshotId, chain_problems, is_whole};
pub use hold::{HeldSpan, HeldWindows, HoldCut, HoldLimits, SPANS_MAX};
pub use manifest::{
    AggregateProgress, CopyManifest, FORMAT_VERSION, FORMAT_VERSION_MIN, Gap, GivenUp, InputColumn, Kind,
    Manifest, MovedOutput, OffsetMark, OpenedWith, OutputId, OutputRoot, PartitionClock, PartitionProgress,
    PluginUse, Progress, PublishEntry, SnapshotManifest, StageUse, UnknownType, WindowOffsets,
};
pub use names::{Codec, Digest, Epoch, Generation, JobName, NameError, PartName};
pub use outbox::{
    Marker, OutboxEntry, OutboxFacts, OutboxRefusal, OutboxStep, outbox_at_start, pending_outbox,
};
pub use retain::{CHECKPOINTS_KEPT, Chain, Droppable, kind_of};
pub use rollback::{OutputFile, RollbackFacts, RollbackPlan, RollbackRefusal, RollbackStep, plan_rollback};
pub use start::{
    Content, FoundCheckpoint, PublishedFile, Refusal, Resume, StagedFile, StartDecision, StartFacts, at_start,
};
pub use steps::{CommitShape, Outcome, PublishOutcome, Rivals, SealOutcome, Step, Stop, next_step};
