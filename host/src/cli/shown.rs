//! How values of a report are written as lines of text.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::checkpoint::plain;
use crate::times;

pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:17} {value}");
}

/// Milliseconds since 1970 as a date; those beyond any calendar as they are.
pub fn time(ms: &Value) -> String {
    ms.as_i64().and_then(times::rfc3339).unwrap_or_else(|| plain(ms))
}
