//! Rows as an aligned table of text. What a terminal might obey is escaped; nothing is cut.

use arrow_array::{ArrayRef, RecordBatch};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::value::{Plain, date, instant, not_finite};
use crate::letters::{bytes_shown, text_shown};

const GAP: &str = "  ";

/// The rows below their columns' names; the columns are those of the last batch.
pub fn table<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> String {
    let batches: Vec<&RecordBatch> = batches.into_iter().collect();
    let Some(last) = batches.last() else { return String::new() };
    let names = last.schema();
    let mut lines: Vec<Vec<Cell>> =
        vec![names.fields().iter().map(|field| Cell::left(escaped(field.name()))).collect()];
    for batch in &batches {
        let row = |row: usize| batch.columns().iter().map(|column| cell(column, row)).collect();
        lines.extend((0..batch.num_rows()).map(row));
    }
    aligned(&lines)
}

/// What stands in one place.
struct Cell {
    text: String,
    is_number: bool,
}

impl Cell {
    fn left(text: String) -> Self {
        Self { text, is_number: false }
    }

    fn number(text: String) -> Self {
        Self { text, is_number: true }
    }
}

fn escaped(text: &str) -> String {
    text_shown(text, usize::MAX)
}

fn cell(column: &ArrayRef, row: usize) -> Cell {
    match Plain::of(column, row) {
        Plain::Null => Cell::left("null".to_owned()),
        Plain::Boolean(value) => Cell::left(value.to_string()),
        Plain::Integer(value) => Cell::number(value.to_string()),
        Plain::Long(value) => Cell::number(value.to_string()),
        Plain::Float(value) => Cell::number(float(value, &value)),
        Plain::Single(value) => Cell::number(float(value.into(), &value)),
        Plain::Text(value) => Cell::left(escaped(value)),
        Plain::Bytes(value) => Cell::left(bytes_shown(value, usize::MAX)),
        Plain::Instant(micros) => Cell::left(instant(micros).unwrap_or_else(|| format!("{micros} us"))),
        Plain::Date(days) => Cell::left(date(days).unwrap_or_else(|| format!("{days} d"))),
        Plain::Decimal(text) => Cell::number(text),
        Plain::Other(text) => Cell::left(escaped(&text)),
    }
}

/// As few digits as tell it from every other number.
fn float(value: f64, shortest: &impl Serialize) -> String {
    let finite = || serde_json::to_string(shortest).unwrap_or_else(|_| value.to_string());
    not_finite(value).map_or_else(finite, str::to_owned)
}

fn aligned(lines: &[Vec<Cell>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.text.width()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        push_line(&mut text, line, &widths);
        if at == 0 {
            let rules: Vec<Cell> = widths.iter().map(|width| Cell::left("-".repeat(*width))).collect();
            push_line(&mut text, &rules, &widths);
        }
    }
    text
}

fn push_line(text: &mut String, line: &[Cell], widths: &[usize]) {
    let begin = text.len();
    for (cell, width) in line.iter().zip(widths) {
        let space = " ".repeat(width.saturating_sub(cell.text.width()));
        let parts = if cell.is_number { [space.as_str(), &cell.text] } else { [&cell.text, space.as_str()] };
        parts.into_iter().chain([GAP]).for_each(|part| text.push_str(part));
    }
    text.truncate(begin + text[begin..].trim_end().len());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
        Int64Array, StringArray, TimestampMicrosecondArray,
    };
    use std::sync::Arc;

    fn check(columns: Vec<(&str, ArrayRef)>, expected: &str) {
        let columns = columns.into_iter().map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        assert_eq!(table([&batch]), expected.trim_start_matches('\n'));
    }

    #[test]
    fn a_table_is_aligned_with_numbers_to_the_right() {
        let symbols: DictionaryArray<arrow_array::types::UInt32Type> =
            ["BTCUSDT", "日本", "ETH"].into_iter().collect();
        check(
            vec![
                ("symbol", Arc::new(symbols)),
                ("price", Arc::new(Float64Array::from(vec![Some(91234.5), None, Some(1e300)]))),
                (
                    "at",
                    Arc::new(
                        TimestampMicrosecondArray::from(vec![0, 1_500_000, i64::MAX]).with_timezone("UTC"),
                    ),
                ),
            ],
            "
symbol   price    at
-------  -------  -----------------------
BTCUSDT  91234.5  1970-01-01T00:00:00Z
日本     null     1970-01-01T00:00:01.500Z
ETH       1e+300  9223372036854775807 us
"
            .replace("-----------------------\n", "------------------------\n")
            .as_str(),
        );
    }

    #[test]
    fn every_type_is_shown_exactly() {
        let one = |column: ArrayRef| table([&RecordBatch::try_from_iter([("c", column)]).unwrap()]);
        for (column, expected) in [
            (Arc::new(Float64Array::from(vec![0.1 + 0.2])) as ArrayRef, "0.30000000000000004"),
            (Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])), "-Infinity"),
            (Arc::new(Float64Array::from(vec![f64::NAN])), "NaN"),
            (Arc::new(Float64Array::from(vec![-0.0])), "-0.0"),
            (Arc::new(Float32Array::from(vec![0.1])), "0.1"),
            (Arc::new(Int64Array::from(vec![i64::MIN])), "-9223372036854775808"),
            (Arc::new(BooleanArray::from(vec![true])), "true"),
            (Arc::new(Date32Array::from(vec![-1])), "1969-12-31"),
            (Arc::new(BinaryArray::from(vec![&b"a\xff"[..]])), "a\\xff"),
            (
                Arc::new(Decimal128Array::from(vec![-12_345]).with_precision_and_scale(10, 2).unwrap()),
                "-123.45",
            ),
        ] {
            assert_eq!(one(column).lines().nth(2).map(str::trim), Some(expected));
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed_as_it_is() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["\x1b[2J\u{9b}31m\n\r\t\u{202e}x\0", "\u{7f}"]));
        let shown = table([&RecordBatch::try_from_iter([("a\x1b]0;b", text)]).unwrap()]);
        assert!(shown.chars().all(|letter| letter == '\n' || (' '..='~').contains(&letter)), "{shown:?}");
        assert_eq!(shown.lines().count(), 4, "{shown:?}");
    }
}
