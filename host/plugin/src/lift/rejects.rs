//! The inputs that a guest refused one by one, checked and made fit to be shown.

use super::values::check_offsets;
use crate::bindings::speed_layer::plugin::types;
use crate::printable::printable;
use crate::{Clause, ColumnFault};

const KIND_BYTES_MAX: usize = 64;
const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// Inputs that a plugin refused, one entry a list each. The rows rise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejects {
    /// The number of the input (record, row or group) in the call.
    pub rows: Vec<u32>,
    /// What people count by: 1 to 64 characters of a-z, 0-9 and '-'.
    pub kinds: Vec<String>,
    /// Cut at 1 KiB and then with control characters escaped.
    pub messages: Vec<String>,
}

impl Rejects {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rejects that a guest gave for `given` inputs.
    pub(crate) fn lift(given: usize, rejects: types::Rejects) -> Result<Self, Clause> {
        check_rows(given, &rejects.rows)?;
        let count = rejects.rows.len();
        let kinds = texts("kinds", count, &rejects.kinds)?;
        let kinds = kinds.into_iter().enumerate().map(kind).collect::<Result<_, Clause>>()?;
        let messages = texts("messages", count, &rejects.messages)?;
        let messages = messages.into_iter().map(|text| printable(text, MESSAGE_BYTES_MAX)).collect();
        Ok(Self { rows: rejects.rows, kinds, messages })
    }
}

fn check_rows(given: usize, rows: &[u32]) -> Result<(), Clause> {
    if let Some(before) = rows.windows(2).position(|pair| pair[1] <= pair[0]) {
        return Err(Clause::RejectsNotRising { entry: before + 1 });
    }
    match rows.last() {
        Some(input) if *input as usize >= given => Err(Clause::RejectOutside { input: *input, given }),
        _ => Ok(()),
    }
}

fn texts<'a>(
    part: &'static str,
    count: usize,
    var: &'a types::VarBytesResult,
) -> Result<Vec<&'a str>, Clause> {
    let named = |fault| Clause::RejectText { part, fault };
    check_offsets(count, var).map_err(named)?;
    let slices = var.offsets.windows(2).map(|ends| &var.data[ends[0] as usize..ends[1] as usize]);
    let texts = slices
        .enumerate()
        .map(|(row, slice)| std::str::from_utf8(slice).map_err(|_| named(ColumnFault::NotUtf8 { row })));
    texts.collect()
}

fn kind((entry, text): (usize, &str)) -> Result<String, Clause> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=KIND_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(Clause::RejectKind { entry, kind: printable(text, KIND_BYTES_MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(texts: &[&[u8]]) -> types::VarBytesResult {
        let mut offsets = vec![0];
        offsets.extend(texts.iter().scan(0, |end, text| {
            *end += text.len() as u32;
            Some(*end)
        }));
        types::VarBytesResult { offsets, data: texts.concat() }
    }

    fn lift(rows: &[u32], kinds: &[&[u8]], messages: &[&[u8]]) -> Result<Rejects, Clause> {
        let rejects = types::Rejects { rows: rows.to_vec(), kinds: pack(kinds), messages: pack(messages) };
        Rejects::lift(10, rejects)
    }

    fn check(rows: &[u32], kinds: &[&[u8]], messages: &[&[u8]], expected: Clause) {
        assert_eq!(lift(rows, kinds, messages), Err(expected));
    }

    #[test]
    fn rejected_rows_rise_strictly_and_were_given() {
        let two: [&[u8]; 2] = [b"a", b"b"];
        assert_eq!(lift(&[], &[], &[]).unwrap().len(), 0);
        assert_eq!(lift(&[0, 9], &two, &two).unwrap().rows, [0, 9]);
        check(&[1, 1], &two, &two, Clause::RejectsNotRising { entry: 1 });
        check(&[2, 1], &two, &two, Clause::RejectsNotRising { entry: 1 });
        check(&[9, 10], &two, &two, Clause::RejectOutside { input: 10, given: 10 });
    }

    #[test]
    fn a_kind_is_short_lowercase_and_plain() {
        let one: [&[u8]; 1] = [b"m"];
        assert!(lift(&[0], &[b"not-json-2"], &one).is_ok());
        assert!(lift(&[0], &[&[b'k'; 64]], &one).is_ok());
        for bad in ["", "Upper", "under_score", "two words", "größe", "a\n"] {
            let kind = printable(bad, KIND_BYTES_MAX);
            check(&[0], &[bad.as_bytes()], &one, Clause::RejectKind { entry: 0, kind });
        }
        check(&[0], &[&[b'k'; 65]], &one, Clause::RejectKind { entry: 0, kind: "k".repeat(64) });
    }

    #[test]
    fn every_reject_has_a_kind_and_a_message_in_utf8() {
        let one: [&[u8]; 1] = [b"a"];
        let count =
            |part, found| Clause::RejectText { part, fault: ColumnFault::OffsetCount { expected: 2, found } };
        check(&[0], &[], &one, count("kinds", 1));
        check(&[0], &one, &[b"a", b"b"], count("messages", 3));
        let not_utf8 = |part| Clause::RejectText { part, fault: ColumnFault::NotUtf8 { row: 0 } };
        check(&[0], &[b"\xff"], &one, not_utf8("kinds"));
        check(&[0], &one, &[b"\xc3"], not_utf8("messages"));
    }

    #[test]
    fn messages_are_cut_and_escaped() {
        let long = "ß".repeat(600);
        let rejects = lift(&[0, 1], &[b"a", b"b"], &[long.as_bytes(), b"\x1b[2J"]).unwrap();
        assert_eq!(rejects.messages, ["ß".repeat(512), "\\u{1b}[2J".to_owned()]);
    }
}
