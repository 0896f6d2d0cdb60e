//! Rows made a second time, because plugins are pure and their input lies in Kafka: the rows
//! of a published file from the offsets and digests in its footer (`file`), and those that a
//! plugin would have made of a stretch of the past (`backtest`). Both are compared with
//! what was published, and neither writes anything, takes a lock or commits an offset: the
//! job may run meanwhile.
//!
//! `history` says which plugins served which offsets, `components` finds them by their
//! digests, `rows` brings batches together to be compared; the reading and folding itself is
//! `job::replay`.

pub mod backtest;
pub mod components;
pub mod file;
mod history;
pub mod published;
mod rows;
pub mod tried;

pub use rows::starts_us;

use std::collections::BTreeMap;

use anyhow::bail;
use speed_layer_core::clock::ClockBounds;
use speed_layer_core::time::Duration;
use speed_layer_store::PublishedFile;
use speed_layer_store::footer::{OffsetRange, Recipe};

use crate::job::replay::OffsetRanges;
use crate::stages::{AggregateClock, EpochContext};

/// What makes the rows of a file; an error for files that do not say.
fn recipe_of(file: &PublishedFile) -> anyhow::Result<&Recipe> {
    match &file.footer.recipe {
        Some(recipe) => Ok(recipe),
        None => bail!(
            "{} has no `speed-layer.recipe` among its metadata: it holds no rows of an aggregate, or was written by a \
             version that did not note what it takes to make them again",
            file.path.display()
        ),
    }
}

fn ranges(offsets: &[OffsetRange]) -> OffsetRanges {
    let ranges = offsets.iter().map(|of| (of.partition, of.lowest..of.cut));
    ranges.collect::<BTreeMap<_, _>>()
}

/// The offsets of the records of one window: up to the cut that closed it, which is not the file's own where the
/// window was held.
fn ranges_of_window(file: &PublishedFile, recipe: &Recipe, start_us: i64) -> OffsetRanges {
    let mut all = ranges(&file.footer.offsets);
    let end_ms = start_us.div_euclid(1000).saturating_add(recipe.window_ms);
    let Some(span) = recipe.held.iter().find(|span| end_ms <= span.through_ms) else { return all };
    for (partition, range) in &mut all {
        let cut =
            span.cut.iter().find(|mark| mark.partition == *partition).map_or(range.start, |mark| mark.offset);
        range.end = cut.clamp(range.start, range.end);
    }
    all
}

fn bounds(recipe: &Recipe) -> anyhow::Result<ClockBounds> {
    let skew = Duration::from_ms(recipe.max_future_skew_ms.unsigned_abs())?;
    Ok(ClockBounds::new(recipe.min_event_time_ms, skew))
}

/// The epoch that published a file, as its plugins were told.
fn epoch_of(file: &PublishedFile, recipe: &Recipe) -> EpochContext {
    EpochContext {
        epoch: file.footer.epoch.0,
        epoch_began_ms: file.footer.clock_bound_ms.saturating_sub(recipe.max_future_skew_ms),
        aggregates: vec![AggregateClock::default()],
    }
}
