//! Points in time as they are told.

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

/// Milliseconds since 1970 as RFC 3339 in UTC; `None` beyond any calendar.
pub fn rfc3339(ms: i64) -> Option<String> {
    Some(DateTime::from_timestamp_millis(ms)?.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// The same in JSON, null where there is none.
pub fn json(ms: i64) -> Value {
    rfc3339(ms).map_or(Value::Null, Value::from)
}
