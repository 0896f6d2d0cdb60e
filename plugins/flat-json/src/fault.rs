//! Why a record is rejected: a kind to count by, and a sentence with the place.

use speed_layer_sdk::rejects::cut;

/// The kinds of faults, in the words of the dead letters.
pub mod kind {
    /// The record has no value.
    pub const TOMBSTONE: &str = "tombstone";
    /// The value is nothing but white space.
    pub const EMPTY: &str = "empty";
    /// Not JSON, or nested too deeply.
    pub const MALFORMED_JSON: &str = "malformed-json";
    /// JSON, but not an object.
    pub const NOT_AN_OBJECT: &str = "not-an-object";
    /// Something follows the object.
    pub const TRAILING_DATA: &str = "trailing-data";
    /// A field holds a value of another type.
    pub const WRONG_TYPE: &str = "wrong-type";
    /// A number that its type cannot hold.
    pub const OUT_OF_RANGE: &str = "out-of-range";
    /// Text that is not UTF-8, or half of a surrogate pair.
    pub const INVALID_UTF8: &str = "invalid-utf8";
    /// The event time is missing or null.
    pub const MISSING_EVENT_TIME: &str = "missing-event-time";
}

/// A record's first fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of [`kind`].
    pub kind: &'static str,
    /// What is wrong, and where.
    pub message: String,
}

impl Fault {
    /// At this byte of the record.
    pub fn at(kind: &'static str, at: usize, what: impl AsRef<str>) -> Fault {
        Fault { kind, message: format!("at byte {at}: {}", what.as_ref()) }
    }

    /// The message with the name of the field that the fault is in.
    pub fn within(self, field: &str) -> Fault {
        let field = cut(field, 64);
        Fault { kind: self.kind, message: format!("in the field {field:?} {}", self.message) }
    }
}

/// The beginning of what was found, fit to be shown.
pub fn shown(found: &[u8]) -> String {
    const BYTES_MAX: usize = 40;
    let text = String::from_utf8_lossy(&found[..found.len().min(BYTES_MAX)]);
    let more = if found.len() > BYTES_MAX { "…" } else { "" };
    format!("`{text}{more}`")
}
