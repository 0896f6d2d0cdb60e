//! Names that the records of an aggregate's topics have no place for.

use anyhow::bail;
use speed_layer_plugin::{AggregateDescription, Plugin};

use crate::config::AggregateSpec;
use crate::sinks::FINAL;

/// Refuses fields that a record would have twice.
///
/// # Errors
/// Names the column and the plugin, or the setting.
pub(super) fn check_names(
    spec: &AggregateSpec,
    plugin: &Plugin,
    description: &AggregateDescription,
) -> anyhow::Result<()> {
    let Some(sink) = spec.topics.first() else { return Ok(()) };
    let own = ["window_start", "window_end", FINAL];
    if let Some(name) = spec.key.iter().find(|name| own.contains(&name.as_str())) {
        bail!(
            "the key column `{name}` of aggregate {} is named like a field that the records of the topic {} have besides; \
             rename it in a transform",
            spec.name,
            sink.topic
        );
    }
    if description.output.index_of(FINAL).is_ok() {
        bail!(
            "{} gives a column `{FINAL}`, which the records of the topic {} have besides; rename it in the plugin or by its \
             settings",
            plugin.id(),
            sink.topic
        );
    }
    Ok(())
}
