//! Why something that came, or should have come, from an exchange is left out. What an
//! exchange sent is shown cut and with its control characters escaped.

use std::fmt;

use serde_json::Value;

/// So much of what was sent is shown.
const SHOWN_BYTES_MAX: usize = 160;

/// The kinds that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Unreachable,
    Timeout,
    HttpStatus,
    RateLimited,
    Banned,
    TooLarge,
    NotJson,
    NotATicker,
    OtherSymbol,
}

impl Reason {
    /// Its name in logs and in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::HttpStatus => "http_status",
            Self::RateLimited => "rate_limited",
            Self::Banned => "banned",
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::NotATicker => "not_a_ticker",
            Self::OtherSymbol => "other_symbol",
        }
    }
}

/// One thing left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    pub reason: Reason,
    pub detail: String,
}

impl Skip {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// A field that is not what it should be.
    pub fn field(name: &str, wanted: &str, found: Option<&Value>) -> Self {
        let found = found.map_or_else(|| "missing".to_owned(), |value| shown(value.to_string().as_bytes()));
        Self::new(Reason::NotATicker, format!("its {name:?} should be {wanted} and is {found}"))
    }

    /// With the beginning of what was sent.
    pub fn with_text(reason: Reason, problem: &str, bytes: &[u8]) -> Self {
        Self::new(reason, format!("{problem}: {}", shown(bytes)))
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// The beginning of what an exchange sent, fit for a terminal.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]);
    let escape = |letter: char| match letter.is_control() {
        true => letter.escape_default().collect::<String>(),
        false => letter.to_string(),
    };
    let more = if bytes.len() > SHOWN_BYTES_MAX { "..." } else { "" };
    text.chars().map(escape).collect::<String>() + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_shown_short_and_without_harm_to_a_terminal() {
        let long = "x".repeat(SHOWN_BYTES_MAX);
        let cases: [(&[u8], &str); 4] = [
            (b"plain", "plain"),
            (b"a\n\x1b[31m\xff", "a\\n\\u{1b}[31m\u{fffd}"),
            (b"", ""),
            (&[b'x'; SHOWN_BYTES_MAX + 1], &format!("{long}...")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(shown(bytes), expected);
        }
    }
}
