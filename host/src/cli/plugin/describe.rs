//! What `host plugin inspect` shows, once as JSON and from that as text.

use std::fmt::Write;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use serde_json::{Value, json};
use speed_layer_plugin::{Limits, Need, Origin, ParseDescription, Plugin, Stage};

/// Everything about `plugin` with `config`, as JSON.
///
/// # Errors
/// When the plugin refuses the configuration.
pub fn report(plugin: &Plugin, config: &Value) -> anyhow::Result<Value> {
    let mut report = json!({
        "name": plugin.id().name,
        "stage": plugin.stage().name(),
        "contract": plugin.contract(),
        "digest": plugin.id().digest.to_string(),
        "bytes": plugin.component_bytes(),
        "imports": plugin.imports(),
        "config": config,
    });
    let details = match plugin.stage() {
        Stage::Parse => parse(&plugin.describe_parse(&config.to_string())?),
        Stage::Transform => transform(plugin, config)?,
        Stage::Aggregate => aggregate(plugin, config)?,
    };
    if let (Value::Object(report), Value::Object(details)) = (&mut report, details) {
        report.extend(details);
    }
    Ok(report)
}

/// What a plugin may use, by the keys that a pipeline's limits have.
pub fn limits(limits: &Limits) -> Value {
    json!({
        "call_cpu_ms": limits.call_cpu_ms,
        "memory_bytes_max": limits.memory_bytes_max,
        "table_elements_max": limits.table_elements_max,
        "tables_max": limits.tables_max,
        "memories_max": limits.memories_max,
        "instances_max": limits.instances_max,
        "stack_bytes_max": limits.stack_bytes_max,
        "component_bytes_max": limits.component_bytes_max,
        "compile_seconds_max": limits.compile_seconds_max,
        "compile_memory_max": limits.compile_memory_max,
        "hostcall_bytes_max": limits.hostcall_bytes_max,
        "output_rows_max": limits.output_rows_max,
    })
}

fn parse(description: &ParseDescription) -> Value {
    let reads = &description.reads;
    let all = [
        ("key", reads.key),
        ("value", reads.value),
        ("headers", reads.headers),
        ("timestamp", reads.timestamp),
    ];
    let reads = all.into_iter().filter_map(|(name, is_read)| is_read.then_some(name)).collect::<Vec<_>>();
    json!({ "reads": reads, "output": schema(&description.output) })
}

fn transform(plugin: &Plugin, config: &Value) -> anyhow::Result<Value> {
    let nobody_knows = Arc::new(Schema::empty());
    let description = plugin.describe_transform(&config.to_string(), &nobody_knows)?;
    let output = description
        .output
        .iter()
        .map(|column| {
            let mut shown = field(&column.field);
            if let Origin::Computed(needs) = &column.origin {
                let from = needs.iter().map(|&need| need_json(&description.needs[need as usize]));
                shown["computed_from"] = from.collect();
            }
            shown
        })
        .collect::<Vec<_>>();
    Ok(json!({ "needs": needs(&description.needs), "output": output }))
}

fn aggregate(plugin: &Plugin, config: &Value) -> anyhow::Result<Value> {
    let nobody_knows = Arc::new(Schema::empty());
    let description = plugin.describe_aggregate(&config.to_string(), &nobody_knows)?;
    Ok(json!({
        "needs": needs(&description.needs),
        "state": { "version": description.state.version, "columns": schema(&description.state.schema) },
        "output": schema(&description.output),
    }))
}

fn needs(needs: &[Need]) -> Vec<Value> {
    needs.iter().map(need_json).collect()
}

/// A column of the input, or by the contract's name what the host itself knows of a row.
fn need_json(need: &Need) -> Value {
    match need {
        Need::Column(name) => json!({ "column": name }),
        Need::EventTime => json!({ "host": "event-time" }),
        Need::Partition => json!({ "host": "partition" }),
        Need::Offset => json!({ "host": "offset" }),
        Need::Ordinal => json!({ "host": "ordinal" }),
        Need::KafkaTimestamp => json!({ "host": "kafka-timestamp" }),
    }
}

/// The columns of a schema, by name and type.
pub fn schema(schema: &Schema) -> Vec<Value> {
    schema.fields().iter().map(|one| field(one)).collect()
}

fn field(field: &Field) -> Value {
    json!({ "name": field.name(), "type": type_name(field.data_type()), "nullable": field.is_nullable() })
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int32 => "s32".into(),
        DataType::Int64 => "s64".into(),
        DataType::Float32 => "f32".into(),
        DataType::Float64 => "f64".into(),
        DataType::Date32 => "date32".into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp-us".into(),
        DataType::Decimal128(precision, scale) => format!("decimal128({precision}, {scale})"),
        DataType::Utf8 => "utf8".into(),
        DataType::Binary => "binary".into(),
        DataType::Dictionary(_, _) => "dictionary-utf8".into(),
        other => other.to_string(),
    }
}

/// The report as lines of text.
pub fn table(report: &Value) -> String {
    let mut text = String::new();
    let Value::Object(entries) = report else { return text };
    for (name, value) in entries {
        match value {
            Value::Array(items) if name != "needs" && items.iter().any(Value::is_object) => {
                write_fields(&mut text, name, items)
            }
            Value::Array(items) => write_line(&mut text, name, &list(items)),
            Value::Object(state) if name == "state" => {
                write_line(&mut text, "state version", &plain(&state["version"]));
                write_fields(
                    &mut text,
                    "state columns",
                    state["columns"].as_array().map_or(&[], Vec::as_slice),
                );
            }
            Value::Object(limits) if name == "limits" => {
                limits.iter().for_each(|(key, value)| write_line(&mut text, key, &plain(value)));
            }
            other => write_line(&mut text, name, &plain(other)),
        }
    }
    text
}

/// A value as people read it.
pub fn plain(value: &Value) -> String {
    match (value.as_str(), value["column"].as_str(), value["host"].as_str()) {
        (Some(text), _, _) | (None, Some(text), _) => text.to_owned(),
        (None, None, Some(known)) => format!("({known})"),
        _ => value.to_string(),
    }
}

fn list(items: &[Value]) -> String {
    if items.is_empty() { "(none)".into() } else { items.iter().map(plain).collect::<Vec<_>>().join(", ") }
}

fn write_line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:14} {value}");
}

fn write_fields(text: &mut String, name: &str, fields: &[Value]) {
    for (i, field) in fields.iter().enumerate() {
        let nullable = if field["nullable"] == true { ", nullable" } else { "" };
        let origin = match &field["computed_from"] {
            Value::Array(needs) => format!(", from {}", list(needs)),
            _ => String::new(),
        };
        let line = format!("{}: {}{nullable}{origin}", plain(&field["name"]), plain(&field["type"]));
        write_line(text, if i == 0 { name } else { "" }, &line);
    }
}
