//! Outputs that a swap has moved away from where the job's settings had them: a start goes
//! on where the checkpoint says, unless the settings name a third place by now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use speed_layer_core::commit::MovedOutput;
use speed_layer_store::layer::FileLayer;
use speed_layer_store::{Checkpoint, Layout, PosixStore, StoreError};
use tracing::{info, warn};

use crate::config::JobSpec;

/// By aggregate.
pub type Moves = BTreeMap<String, MovedOutput>;

/// The moves that hold for a start from `checkpoint` under these settings.
pub fn moves(spec: &JobSpec, checkpoint: Option<&Checkpoint>) -> Moves {
    let mut moves = Moves::new();
    for known in checkpoint.iter().flat_map(|checkpoint| &checkpoint.manifest.progress.aggregates) {
        let present = spec.aggregates.iter().find(|aggregate| aggregate.name == known.name);
        if let (Some(present), Some(moved)) = (present, &known.moved)
            && [&moved.from, &moved.to].iter().any(|known| is_same(&present.output, Path::new(known)))
        {
            moves.insert(known.name.clone(), moved.clone());
        }
    }
    moves
}

/// Says where files go that the settings send elsewhere.
pub fn tell(spec: &JobSpec, moves: &Moves, checkpoint: Option<&Checkpoint>) {
    for known in checkpoint.iter().flat_map(|checkpoint| &checkpoint.manifest.progress.aggregates) {
        let Some(present) = spec.aggregates.iter().find(|aggregate| aggregate.name == known.name) else {
            continue;
        };
        let (Some(moved), configured) = (&known.moved, present.output.display()) else { continue };
        if !moves.contains_key(&known.name) {
            info!("aggregate {} writes to {configured} now; a swap had moved it to {}", known.name, moved.to);
        } else if !is_same(&present.output, Path::new(&moved.to)) {
            warn!(
                "aggregate {} goes on in {}, where a swap moved its output; {configured} keeps the windows before it: name \
                 the new folder in the settings",
                known.name, moved.to
            );
        }
    }
}

/// The store with its outputs where they were moved to.
///
/// # Errors
/// A folder that no sibling can be named after.
pub fn follow<L: FileLayer>(store: PosixStore<L>, moves: &Moves) -> Result<PosixStore<L>, StoreError> {
    let moved = |layout: Layout, (name, moved): (&String, &MovedOutput)| {
        layout.with_output(name, Path::new(&moved.to))
    };
    let layout = moves.iter().try_fold(store.layout().clone(), moved)?;
    Ok(store.with_layout(layout))
}

/// What a checkpoint says of an output that goes to `to` where the settings have `configured`.
pub fn moved(configured: &Path, to: &Path) -> MovedOutput {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let [from, to] = [configured, to].map(|path| absolute(path).display().to_string());
    MovedOutput { from, to }
}

/// Whether two paths lead to the same folder, as far as looking tells.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| -> Option<PathBuf> {
        std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok()
    };
    one == other || resolved(one) == resolved(other)
}
