//! The failpoints by name, and which part of a run each lies in. Where exactly, `fail_point!` with
//! the name shows; a tidy test holds that the two agree.

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Between the poll and the cut.
    Batch,
    /// From the cut to the next, and beside it.
    Commit,
    /// Ending in order.
    End,
    /// Taking the job and bringing it back to where it was.
    Start,
    /// Sending letters to topics, in a job that does.
    Outbox,
    /// Of a swap that succeeds.
    Swap,
    /// Of a swap that is rolled back.
    Revert,
}

use Stage::{Batch, Commit, End, Outbox, Revert, Start, Swap};

pub const POINTS: [(&str, Stage); 66] = [
    ("source.after_poll", Batch),
    ("parse.mid_batch", Batch),
    ("transform.mid_batch", Batch),
    ("aggregate.mid_batch", Batch),
    ("cut.before_hand_over", Batch),
    ("commit.merged", Commit),
    ("window.before_write", Commit),
    ("stage.create", Commit),
    ("stage.mid_row_group", Commit),
    ("stage.before_footer", Commit),
    ("stage.before_sync", Commit),
    ("stage.after_sync", Commit),
    ("stage.before_dir_sync", Commit),
    ("stage.after_dir_sync", Commit),
    ("seal.before_write", Commit),
    ("file.half_written", Commit),
    ("seal.before_sync", Commit),
    ("seal.before_link", Commit),
    ("seal.after_link", Commit),
    ("seal.after_dir_sync", Commit),
    ("publish.before_first", Commit),
    ("publish.between_files", Commit),
    ("publish.before_dir_sync", Commit),
    ("publish.after_all", Commit),
    ("clean_up.staged", Commit),
    ("clean_up.checkpoints", Commit),
    ("clean_up.snapshots", Commit),
    ("snapshot.before_write", Commit),
    ("snapshot.before_sync", Commit),
    ("snapshot.before_link", Commit),
    ("snapshot.after_link", Commit),
    ("snapshot.before_verify", Commit),
    ("offsets.before_commit", Commit),
    ("offsets.after_commit", Commit),
    ("end.before_seal", End),
    ("end.after_seal", End),
    ("directory.made", Start),
    ("claim.after_lock", Start),
    ("claim.before_dir_sync", Start),
    ("keep.before_write", Start),
    ("keep.before_sync", Start),
    ("keep.before_link", Start),
    ("keep.after_link", Start),
    ("recover.after_claim", Start),
    ("recover.mid_redo", Start),
    ("recover.before_dir_sync", Start),
    ("recover.mid_delete", Start),
    ("source.before_seek", Start),
    ("outbox.settled", Outbox),
    ("outbox.before_send", Outbox),
    ("outbox.after_send", Outbox),
    ("swap.opened", Swap),
    ("swap.kept", Swap),
    ("swap.cut", Swap),
    ("swap.resumed", Swap),
    ("swap.taken_over", Swap),
    ("swap.tried", Swap),
    ("swap.folded", Swap),
    ("swap.judged", Swap),
    ("swap.promoted", Swap),
    ("swap.sealed", Swap),
    ("swap.replied", Swap),
    ("swap.before_history", Swap),
    ("swap.after_history", Swap),
    ("swap.rolled_back", Revert),
    ("swap.reverted", Revert),
];
