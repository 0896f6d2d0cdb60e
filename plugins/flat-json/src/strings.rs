//! Strings of JSON: their grammar, escapes and UTF-8.
//!
//! The plain way, one byte at a time. A string without escapes stays where it is in the
//! record; one with escapes is written out into a buffer.

use crate::fault::{Fault, kind, shown};

/// Where the record stops being UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Utf8End {
    at: usize,
    is_cut: bool,
}

impl Utf8End {
    /// Looks through the whole record once.
    pub fn of(record: &[u8]) -> Utf8End {
        match std::str::from_utf8(record) {
            Ok(_) => Utf8End { at: record.len(), is_cut: false },
            Err(error) => Utf8End { at: error.valid_up_to(), is_cut: error.error_len().is_none() },
        }
    }
}

/// A string that was read: where it ends in the record, and its text if it has escapes.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// The place after the closing quote.
    pub end: usize,
    /// The text without escapes; none when the record has it as it is.
    pub unescaped: Option<Vec<u8>>,
}

/// Reads the string whose opening quote is at `at`.
///
/// # Errors
/// `malformed-json` for one that does not end, has a control character or an escape that
/// JSON does not know; `invalid-utf8` for bytes or surrogates that are no text.
pub fn read(record: &[u8], utf8: Utf8End, at: usize) -> Result<Text, Fault> {
    let mut unescaped: Option<Vec<u8>> = None;
    let mut place = at + 1;
    let mut kept = place;
    loop {
        match record.get(place) {
            None => return Err(unfinished(place)),
            Some(b'"') => {
                if let Some(text) = &mut unescaped {
                    text.extend_from_slice(&record[kept..place]);
                }
                return Ok(Text { end: place + 1, unescaped });
            }
            Some(b'\\') => {
                let text = unescaped.get_or_insert_default();
                text.extend_from_slice(&record[kept..place]);
                let (character, end) = escape(record, place)?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                (place, kept) = (end, end);
            }
            Some(control @ 0..=0x1f) => {
                let what = format!("the control character {control:#04x} has to be escaped in a string");
                return Err(Fault::at(kind::MALFORMED_JSON, place, what));
            }
            Some(0x80..) if place == utf8.at => return Err(not_utf8(record, utf8)),
            Some(_) => place += 1,
        }
    }
}

fn unfinished(at: usize) -> Fault {
    Fault::at(kind::MALFORMED_JSON, at, "the record ends within a string")
}

fn not_utf8(record: &[u8], utf8: Utf8End) -> Fault {
    if utf8.is_cut {
        return unfinished(record.len());
    }
    Fault::at(kind::INVALID_UTF8, utf8.at, format!("the byte {:#04x} is not UTF-8 here", record[utf8.at]))
}

/// The character that the escape at `at` stands for, and the place after it.
fn escape(record: &[u8], at: usize) -> Result<(char, usize), Fault> {
    let character = match record.get(at + 1) {
        None => return Err(unfinished(record.len())),
        Some(b'u') => return unicode_escape(record, at),
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(_) => return Err(bad_escape(record, at)),
    };
    Ok((character, at + 2))
}

fn bad_escape(record: &[u8], at: usize) -> Fault {
    let found = &record[at..record.len().min(at + 6)];
    Fault::at(kind::MALFORMED_JSON, at, format!("{} is not an escape", shown(found)))
}

/// `\uXXXX`, or two of them that make a pair.
fn unicode_escape(record: &[u8], at: usize) -> Result<(char, usize), Fault> {
    let first = code_unit(record, at)?;
    let lone = || Fault::at(kind::INVALID_UTF8, at, format!("\\u{first:04x} is half of a surrogate pair"));
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|character| (character, at + 6)).ok_or_else(lone);
    }
    match &record[at + 6..] {
        [] | [b'\\'] => return Err(unfinished(record.len())),
        [b'\\', b'u', ..] => {}
        _ => return Err(lone()),
    }
    let second = code_unit(record, at + 6)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(lone());
    }
    let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(code).map(|character| (character, at + 12)).ok_or_else(lone)
}

/// The four hexadecimal digits after the `\u` at `at`.
fn code_unit(record: &[u8], at: usize) -> Result<u32, Fault> {
    let mut unit = 0;
    for place in at + 2..at + 6 {
        let Some(&byte) = record.get(place) else { return Err(unfinished(record.len())) };
        let digit = char::from(byte).to_digit(16).ok_or_else(|| bad_escape(record, at))?;
        unit = unit << 4 | digit;
    }
    Ok(unit)
}
