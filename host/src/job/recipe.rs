//! What a file's footer says beside offsets and plugins, so that its rows can be made again.

use speed_layer_core::commit::StageUse;
use speed_layer_store::footer::Recipe;

use super::commit::AggregateCommit;
use crate::config::ClockSpec;
use crate::plan::StageName;

/// The recipe of an aggregate's rows; the path is each file's own.
pub fn recipe(
    aggregate: &AggregateCommit,
    stages: &[StageUse],
    clock: &ClockSpec,
    topic_id: Option<&str>,
) -> Recipe {
    let spec = &aggregate.spec;
    let stage = StageName::Aggregate(spec.name.clone()).to_string();
    let own = StageUse { stage, plugins: aggregate.plugins.clone() };
    Recipe {
        aggregate: spec.name.clone(),
        key: spec.key.clone(),
        path: String::new(),
        keep_key_column: spec.keep_key_column,
        window_ms: spec.window_ms as i64,
        delay_ms: spec.watermark_ms as i64,
        event_time: clock.event_time.clone(),
        min_event_time_ms: clock.min_event_time_ms,
        max_future_skew_ms: clock.max_future_skew_ms,
        topic_id: topic_id.map(str::to_owned),
        stages: stages.iter().cloned().chain([own]).collect(),
        held: aggregate.holding.released().to_vec(),
    }
}
