//! Names that the records of an aggregate's topics, and its console, have no place for.

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
    let topic = spec.topics.first().map(|sink| format!("the records of the topic {}", sink.topic));
    let Some(shown) = topic.or(spec.console.as_ref().map(|_| "the rows of the console".to_owned())) else {
        return Ok(());
    };
    let own = ["window_start", "window_end", FINAL];
    if let Some(name) = spec.key.iter().find(|name| own.contains(&name.as_str())) {
        bail!(
            "the key column `{name}` of aggregate {} is named like a field that {shown} have besides; rename it \
             in a transform",
            spec.name
        );
    }
    if description.output.index_of(FINAL).is_ok() {
        bail!(
            "{} gives a column `{FINAL}`, which {shown} have besides; rename it in the plugin or by its settings",
            plugin.id()
        );
    }
    Ok(())
}
