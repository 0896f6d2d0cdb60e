//! What the plugins that serve the job now were called for.

use speed_layer_plugin::{CALL_BOUNDS_US, Plugin};

use super::text::{Kind, Labels, Text};
use crate::serve::board::Board;

/// A stage's name, its plugin and the plugin's short digest.
type Used = (String, Plugin, String);

pub fn tell(text: &mut Text, board: &Board) {
    let used = used(board);
    text.family(
        "plugin_call_duration_seconds",
        Kind::Histogram,
        "How long calls took, with the copies into and out of the guest.",
    );
    let bounds = CALL_BOUNDS_US.map(|us| us as f64 / 1e6);
    for of in &used {
        for count in of.1.usage().calls() {
            let (call, took_s) = (count.callback.to_string(), count.took.as_secs_f64());
            text.histogram(&labels(of, &[("call", &call)]), &bounds, &count.buckets, took_s);
        }
    }
    text.family("plugin_rows_total", Kind::Counter, "Rows or groups that calls were given.");
    for of in &used {
        for count in of.1.usage().calls() {
            text.sample(&labels(of, &[("call", &count.callback.to_string())]), count.rows);
        }
    }
    let help = "Failed calls, those too that were tried again and then went well.";
    text.family("plugin_failures_total", Kind::Counter, help);
    for of in &used {
        of.1.usage().failures().for_each(|(kind, calls)| text.sample(&labels(of, &[("kind", kind)]), calls));
    }
    text.family("plugin_memory_bytes", Kind::Gauge, "Linear memory of its instances, all workers together.");
    used.iter().for_each(|of| text.sample(&labels(of, &[]), of.1.usage().memory_bytes()));
}

fn used(board: &Board) -> Vec<Used> {
    let Some(plan) = board.handle.plan() else { return Vec::new() };
    let stages = plan.stages().into_iter();
    stages
        .filter_map(|stage| {
            let (plugin, _) = plan.plugin(&stage)?;
            Some((stage.to_string(), plugin.clone(), plugin.id().digest.short()))
        })
        .collect()
}

fn labels<'a>(of: &'a Used, more: &Labels<'a>) -> Vec<(&'a str, &'a str)> {
    let (stage, plugin, digest) = of;
    let own = [("stage", stage.as_str()), ("plugin", plugin.id().name.as_str()), ("digest", digest.as_str())];
    [&own, more].concat()
}
