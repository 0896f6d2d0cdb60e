//! A plan as JSON, and from that as text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use arrow_schema::Schema;
use serde_json::{Value, json};
use speed_layer_core::time::Duration;
use speed_layer_plugin::Plugin;

use crate::cli::plugin::describe;
use crate::config::{JobSpec, StageSpec, Trigger};
use crate::plan::{AggregatePlan, Plan, StageName};

/// Everything that is known of a job before it runs.
pub fn report(job: &JobSpec, plan: &Plan) -> Value {
    json!({
        "job": job.name,
        "source": { "brokers": job.source.brokers, "topic": job.source.topic },
        "trigger": trigger(job.trigger),
        "checkpoint": job.checkpoint,
        "event_time": { "column": job.clock.event_time, "stage": event_time_stage(plan).to_string() },
        "stages": row_stages(job, plan),
        "aggregates": plan.aggregates.iter().map(aggregate).collect::<Vec<_>>(),
        "dead_letters": side(job.sides.dead_letters.as_deref()),
        "late": side(job.sides.late.as_deref()),
    })
}

fn event_time_stage(plan: &Plan) -> StageName {
    plan.event_time.level.checked_sub(1).map_or(StageName::Parse, StageName::Transform)
}

fn row_stages(job: &JobSpec, plan: &Plan) -> Vec<Value> {
    let parse = &plan.parse;
    let read: BTreeSet<usize> = parse.wanted.iter().map(|column| *column as usize).collect();
    let mut stages = vec![stage(&StageName::Parse, &parse.plugin, &job.parse, columns(&parse.schema, &read))];
    for (index, (of, spec)) in plan.transforms.iter().zip(&job.transforms).enumerate() {
        let computed = of.wanted_computed.iter().map(|column| *column as usize);
        let read = computed.chain(of.passed_on.iter().map(|(output, _)| *output)).collect();
        stages.push(stage(&StageName::Transform(index), &of.plugin, spec, columns(&of.schema, &read)));
    }
    stages
}

fn stage(name: &StageName, plugin: &Plugin, spec: &StageSpec, output: Vec<Value>) -> Value {
    json!({
        "stage": name.to_string(),
        "plugin": plugin.id().name,
        "digest": plugin.id().digest.to_string(),
        "file": spec.plugin,
        "config": spec.config,
        "output": output,
    })
}

/// The columns of a stage; those that no later stage reads are not even made.
fn columns(schema: &Schema, read: &BTreeSet<usize>) -> Vec<Value> {
    let shown = describe::schema(schema).into_iter().enumerate();
    let with_use = |(index, mut column): (usize, Value)| {
        column["read"] = read.contains(&index).into();
        column
    };
    shown.map(with_use).collect()
}

fn aggregate(of: &AggregatePlan) -> Value {
    let spec = &of.spec;
    let name = StageName::Aggregate(spec.name.clone());
    let mut shown = stage(&name, &of.plugin, &spec.stage, describe::schema(&of.description.output));
    shown["key"] = json!(spec.key);
    shown["window"] = length(spec.window_ms).into();
    shown["watermark"] = length(spec.watermark_ms).into();
    shown["state"] = json!({
        "version": of.description.state.version,
        "columns": describe::schema(&of.description.state.schema),
    });
    shown["sink"] = json!({
        "type": "parquet",
        "path": spec.output,
        "hold": spec.hold.map(|of| length(of.age_ms)),
        "hold_rows": spec.hold.and_then(|of| of.rows),
    });
    shown["topics"] =
        spec.topics.iter().map(|sink| json!({ "topic": sink.topic, "mode": sink.mode.name() })).collect();
    shown["console"] = spec.console.as_ref().map_or(Value::Null, |sink| json!({ "mode": sink.mode.name() }));
    shown
}

fn side(topic: Option<&str>) -> Value {
    topic.map_or(json!({ "type": "parquet" }), |topic| json!({ "type": "kafka", "topic": topic }))
}

fn trigger(trigger: Trigger) -> String {
    match trigger {
        Trigger::IntervalMs(ms) => length(ms),
        Trigger::Once => "once".to_owned(),
        Trigger::AvailableNow => "available-now".to_owned(),
        Trigger::Continuous => "continuous".to_owned(),
    }
}

fn length(ms: u64) -> String {
    Duration::from_ms(ms).map_or_else(|_| format!("{ms}ms"), |length| length.to_string())
}

/// How long windows are held before they go into a sink.
fn held(sink: &Value) -> String {
    let Some(age) = sink["hold"].as_str() else { return String::new() };
    let rows =
        sink["hold_rows"].as_u64().map_or_else(String::new, |rows| format!(" or until there are {rows}"));
    format!(", held for {age}{rows}")
}

/// The report as lines of text.
pub fn table(report: &Value) -> String {
    let (text, source) = (|value: &Value| describe::plain(value), &report["source"]);
    let mut lines = format!(
        "job {}: topic {} at {}, trigger {}, checkpoint {}\n",
        text(&report["job"]),
        text(&source["topic"]),
        text(&source["brokers"]),
        text(&report["trigger"]),
        text(&report["checkpoint"]),
    );
    for stage in report["stages"].as_array().into_iter().flatten() {
        write_stage(&mut lines, stage);
        let clock = &report["event_time"];
        let clock = if clock["stage"] == stage["stage"] { &clock["column"] } else { &Value::Null };
        write_columns(&mut lines, "gives", &stage["output"], clock);
    }
    for aggregate in report["aggregates"].as_array().into_iter().flatten() {
        write_stage(&mut lines, aggregate);
        let key = aggregate["key"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ");
        let (window, watermark) = (text(&aggregate["window"]), text(&aggregate["watermark"]));
        let _ = writeln!(lines, "  by {key} in windows of {window}, rows up to {watermark} late");
        let version = text(&aggregate["state"]["version"]);
        write_columns(
            &mut lines,
            &format!("state version {version}"),
            &aggregate["state"]["columns"],
            &Value::Null,
        );
        write_columns(&mut lines, "gives", &aggregate["output"], &Value::Null);
        let _ = writeln!(lines, "  into {}{}", text(&aggregate["sink"]["path"]), held(&aggregate["sink"]));
        for sink in aggregate["topics"].as_array().into_iter().flatten() {
            let _ = writeln!(lines, "  and the topic {}, mode {}", text(&sink["topic"]), text(&sink["mode"]));
        }
        if let Some(mode) = aggregate["console"]["mode"].as_str() {
            let _ = writeln!(lines, "  and the console, mode {mode}");
        }
    }
    for (name, side) in [("dead letters", &report["dead_letters"]), ("late rows", &report["late"])] {
        let place = side["topic"]
            .as_str()
            .map_or("Parquet beside the first output".to_owned(), |topic| format!("topic {topic}"));
        let _ = writeln!(lines, "{name}: {place}");
    }
    lines.push_str("nothing was run\n");
    lines
}

fn write_stage(lines: &mut String, stage: &Value) {
    let text = |name: &str| describe::plain(&stage[name]);
    let _ = writeln!(lines, "{}: {} {} ({})", text("stage"), text("plugin"), text("digest"), text("file"));
}

fn write_columns(lines: &mut String, what: &str, columns: &Value, event_time: &Value) {
    let shown = columns.as_array().into_iter().flatten().map(|column| {
        let name = &column["name"];
        let nullable = if column["nullable"] == true { "?" } else { "" };
        let unread = if column["read"] == false { " (not read)" } else { "" };
        let clock = if name == event_time { " (event time)" } else { "" };
        format!("{} {}{nullable}{clock}{unread}", describe::plain(name), describe::plain(&column["type"]))
    });
    let _ = writeln!(lines, "  {what}: {}", shown.collect::<Vec<_>>().join(", "));
}
