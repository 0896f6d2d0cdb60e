//! Bytes that anybody may have written, made fit for a terminal: what it might obey or
//! turn around is escaped, and only a beginning is shown.

use std::fmt::Write;

/// The first `bytes_max` bytes: text as it is, all else escaped (`\n`, `\u{1b}`, `\xff`),
/// and how many there are where some are left out.
pub fn bytes_shown(bytes: &[u8], bytes_max: usize) -> String {
    let kept = &bytes[..bytes.len().min(bytes_max)];
    let mut shown = String::with_capacity(kept.len());
    for chunk in kept.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push(&mut shown, character));
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    if kept.len() < bytes.len() {
        let _ = write!(shown, "… ({} bytes)", bytes.len());
    }
    shown
}

/// The same of a text.
pub fn text_shown(text: &str, bytes_max: usize) -> String {
    bytes_shown(&text.as_bytes()[..text.floor_char_boundary(bytes_max)], bytes_max)
}

fn push(shown: &mut String, character: char) {
    match character {
        '"' | '\'' => shown.push(character),
        other => shown.extend(other.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown_as_it_is() {
        for (bytes, expected) in [
            (&b"{\"a\": 'b'}"[..], "{\"a\": 'b'}"),
            ("größer 日本".as_bytes(), "größer 日本"),
            (b"\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            (b"a\nb\r\tc\\", "a\\nb\\r\\tc\\\\"),
            ("\u{202e}evil\u{2028}".as_bytes(), "\\u{202e}evil\\u{2028}"),
            (b"\xff\xfe ok \xc3", "\\xff\\xfe ok \\xc3"),
            (b"\0", "\\0"),
            (b"", ""),
        ] {
            assert_eq!(bytes_shown(bytes, 100), expected);
        }
    }

    #[test]
    fn of_long_ones_the_beginning_is_shown_and_the_length() {
        assert_eq!(bytes_shown(b"abcdef", 3), "abc… (6 bytes)");
        assert_eq!(bytes_shown("aß".as_bytes(), 2), "a\\xc3… (3 bytes)");
        assert_eq!(text_shown("aß", 2), "a");
    }
}
