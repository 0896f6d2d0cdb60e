//! The quick parser: records of a shape that is known, and of plain values.
//!
//! It steps over no byte that it has not compared or classified, takes only what the general
//! parser would take with the same result, and gives up at all else. It never rejects: a
//! record that it gives up on is read again, from its beginning, by the general parser.
//!
//! Its loads may reach past the record's end into the next one of the batch; a record counts
//! as read only if its last byte is where the parser stopped.

use std::ops::Range;

use crate::digits::{decimal, integer};
use crate::fields::Kind;
use crate::rows::Rows;
use crate::shape::{Shape, Step};
use crate::words::{leading_plain, load};

/// So many bytes after a record are looked at, at most.
const LOOK_AHEAD: usize = 32;

/// Why the quick parser gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The record has another shape.
    Shape,
    /// A value is not a plain one, or the batch ends too soon after the record.
    Value,
}

/// Reads the record at `range` of the batch's bytes into the row to be written.
///
/// # Errors
/// Says why it gave up; the row is then half written.
#[inline]
pub fn read(data: &[u8], range: Range<usize>, shape: &Shape, rows: &mut Rows) -> Result<(), Miss> {
    // The last literal is looked at with so many bytes, whose end has to be in the batch.
    if range.end + LOOK_AHEAD > data.len() {
        return Err(Miss::Value);
    }
    let mut at = range.start;
    for step in &shape.steps {
        let begin = step.before.skip(data, at).ok_or(Miss::Shape)?;
        at = value(data, begin, step, rows).ok_or(Miss::Value)?;
    }
    at = shape.after.skip(data, at).ok_or(Miss::Shape)?;
    shape.absent.iter().for_each(|&column| rows.set_null(column));
    if at == range.end { Ok(()) } else { Err(Miss::Shape) }
}

/// Reads the value at `at` and gives the place after it.
#[inline(always)]
fn value(data: &[u8], at: usize, step: &Step, rows: &mut Rows) -> Option<usize> {
    let end = match step.kind {
        Some(Kind::F64) => f64_value(data, at, step.column, rows),
        Some(Kind::S64) => s64_value(data, at, step.column, rows),
        Some(Kind::Utf8) => text_value(data, at, step.column, rows),
        Some(Kind::S32) => s32_value(data, at, step.column, rows),
        Some(Kind::F32) => f32_value(data, at, step.column, rows),
        Some(Kind::Boolean) => boolean_value(data, at, step.column, rows),
        None => any_scalar(data, at),
    };
    end.or_else(|| null_value(data, at, step, rows))
}

#[cold]
fn null_value(data: &[u8], at: usize, step: &Step, rows: &mut Rows) -> Option<usize> {
    let end = null(data, at).filter(|_| !step.is_required)?;
    step.column.into_iter().for_each(|column| rows.set_null(column));
    Some(end)
}

#[inline(always)]
fn f64_value(data: &[u8], at: usize, column: Option<usize>, rows: &mut Rows) -> Option<usize> {
    let (value, end) = decimal(data, at)?;
    if let Some(column) = column {
        rows.set_word(column, value.to_f64()?.to_bits());
    }
    Some(end)
}

#[inline(always)]
fn s64_value(data: &[u8], at: usize, column: Option<usize>, rows: &mut Rows) -> Option<usize> {
    let (value, end) = integer(data, at)?;
    if let Some(column) = column {
        rows.set_word(column, value as u64);
    }
    Some(end)
}

#[inline(always)]
fn text_value(data: &[u8], at: usize, column: Option<usize>, rows: &mut Rows) -> Option<usize> {
    let end = string(data, at)?;
    if let Some(column) = column {
        rows.set_span(column, at + 1, end - 1);
    }
    Some(end)
}

fn s32_value(data: &[u8], at: usize, column: Option<usize>, rows: &mut Rows) -> Option<usize> {
    let (value, end) = integer(data, at)?;
    let value = i32::try_from(value).ok()?;
    if let Some(column) = column {
        rows.set_word(column, i64::from(value) as u64);
    }
    Some(end)
}

fn f32_value(data: &[u8], at: usize, column: Option<usize>, rows: &mut Rows) -> Option<usize> {
    let (_, end) = decimal(data, at)?;
    if let Some(column) = column {
        let value: f32 = std::str::from_utf8(&data[at..end]).ok()?.parse().ok()?;
        rows.set_word(column, value.to_bits().into());
    }
    Some(end)
}

fn boolean_value(data: &[u8], at: usize, column: Option<usize>, rows: &mut Rows) -> Option<usize> {
    let (value, end) = boolean(data, at)?;
    if let Some(column) = column {
        rows.set_word(column, value.into());
    }
    Some(end)
}

fn boolean(data: &[u8], at: usize) -> Option<(bool, usize)> {
    let rest = data.get(at..)?;
    match rest.first()? {
        b't' => rest.starts_with(b"true").then_some((true, at + 4)),
        _ => rest.starts_with(b"false").then_some((false, at + 5)),
    }
}

fn null(data: &[u8], at: usize) -> Option<usize> {
    data.get(at..)?.starts_with(b"null").then_some(at + 4)
}

/// A string without escapes; gives the place after its closing quote.
#[inline(always)]
fn string(data: &[u8], at: usize) -> Option<usize> {
    if *data.get(at)? != b'"' {
        return None;
    }
    let mut place = at + 1;
    loop {
        let plain = leading_plain(load(data, place)?) as usize;
        place += plain;
        if plain < 8 {
            return if data[place] == b'"' { Some(place + 1) } else { string_beyond_ascii(data, at + 1) };
        }
    }
}

/// A string of more than ASCII, which has to be UTF-8.
#[cold]
fn string_beyond_ascii(data: &[u8], begin: usize) -> Option<usize> {
    let len = data[begin..].iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
    let end = begin + len;
    (data[end] == b'"' && std::str::from_utf8(&data[begin..end]).is_ok()).then_some(end + 1)
}

/// A value that nobody asked for, unless it is an array or an object.
fn any_scalar(data: &[u8], at: usize) -> Option<usize> {
    match data.get(at)? {
        b'"' => string(data, at),
        b'-' | b'0'..=b'9' => decimal(data, at).map(|(_, end)| end),
        b'n' => null(data, at),
        _ => boolean(data, at).map(|(_, end)| end),
    }
}
