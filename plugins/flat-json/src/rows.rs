//! The columns that a batch fills, row by row, before they become the contract's.
//!
//! Every cell is one word, whatever its type; text is the place of its bytes. A row is
//! written at a place and only then kept, so a record that turns out bad costs nothing to
//! undo.

use speed_layer_sdk::prelude::*;

use crate::fields::Kind;

/// Where a text is: in the batch's bytes, or among those without their escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The count of bytes.
    pub len: u32,
    /// Whether it is in the buffer of unescaped texts.
    pub is_unescaped: bool,
}

const UNESCAPED: u64 = 1 << 63;

impl Span {
    #[inline]
    fn to_word(self) -> u64 {
        u64::from(self.start) | u64::from(self.len) << 32 | if self.is_unescaped { UNESCAPED } else { 0 }
    }

    fn of_word(word: u64) -> Span {
        let len = (word & !UNESCAPED) >> 32;
        Span { start: word as u32, len: len as u32, is_unescaped: word & UNESCAPED != 0 }
    }
}

/// One value on its way into a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// Of a boolean.
    Boolean(bool),
    /// Of an s32 or an s64.
    Integer(i64),
    /// Of an f32.
    F32(f32),
    /// Of an f64.
    F64(f64),
    /// Of a utf8.
    Text(Span),
}

#[derive(Debug)]
struct Cells {
    kind: Kind,
    words: Vec<u64>,
    is_null: Vec<bool>,
    has_null: bool,
}

/// The wanted columns of one batch.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<Cells>,
    rows: usize,
    unescaped: Vec<u8>,
}

impl Rows {
    /// Of columns of these kinds, with room for that many rows.
    pub fn new(kinds: impl Iterator<Item = Kind>, rows_max: usize) -> Rows {
        let cells =
            |kind| Cells { kind, words: vec![0; rows_max], is_null: vec![false; rows_max], has_null: false };
        Rows { columns: kinds.map(cells).collect(), rows: 0, unescaped: vec![] }
    }

    /// Keeps the row that was written.
    #[inline]
    pub fn keep(&mut self) {
        self.rows += 1;
    }

    /// Makes every cell of the row to be written null.
    pub fn clear_row(&mut self) {
        (0..self.columns.len()).for_each(|column| self.set_null(column));
    }

    /// Undoes the nulls of a row that was not kept.
    pub fn forget_row(&mut self) {
        self.columns.iter_mut().for_each(|column| column.is_null[self.rows] = false);
    }

    /// Writes a null into the row.
    #[inline]
    pub fn set_null(&mut self, column: usize) {
        let column = &mut self.columns[column];
        column.is_null[self.rows] = true;
        column.has_null = true;
    }

    /// Writes a word into the row: an integer's, the bits of a float, or a boolean's 0 or 1.
    #[inline]
    pub fn set_word(&mut self, column: usize, word: u64) {
        self.columns[column].words[self.rows] = word;
    }

    /// Writes a text's place into the row.
    #[inline]
    pub fn set_span(&mut self, column: usize, start: usize, end: usize) {
        let span = Span { start: start as u32, len: (end - start) as u32, is_unescaped: false };
        self.set_word(column, span.to_word());
    }

    /// Writes any cell into the row; also over an earlier one.
    pub fn set(&mut self, column: usize, cell: Cell) {
        let word = match cell {
            Cell::Null => return self.set_null(column),
            Cell::Boolean(value) => u64::from(value),
            Cell::Integer(value) => value as u64,
            Cell::F32(value) => u64::from(value.to_bits()),
            Cell::F64(value) => value.to_bits(),
            Cell::Text(span) => span.to_word(),
        };
        self.columns[column].is_null[self.rows] = false;
        self.set_word(column, word);
    }

    /// Keeps a text that had escapes.
    pub fn add_unescaped(&mut self, text: &[u8]) -> Span {
        let start = self.unescaped.len() as u32;
        self.unescaped.extend_from_slice(text);
        Span { start, len: text.len() as u32, is_unescaped: true }
    }

    /// The columns; `data` is the batch's bytes that spans point into.
    pub fn finish(self, data: &[u8]) -> Vec<Column> {
        let Rows { columns, rows, unescaped } = self;
        columns.into_iter().map(|cells| cells.finish(rows, data, &unescaped)).collect()
    }
}

impl Cells {
    fn finish(mut self, rows: usize, data: &[u8], unescaped: &[u8]) -> Column {
        self.words.truncate(rows);
        self.is_null.truncate(rows);
        let validity = (self.has_null && self.is_null.contains(&true))
            .then(|| pack(self.is_null.iter().map(|null| !null)));
        let words = self.words;
        let data = match self.kind {
            Kind::Boolean => ColumnData::Boolean(pack(words.iter().map(|&word| word == 1))),
            Kind::S32 => ColumnData::S32(words.iter().map(|&word| word as i32).collect()),
            Kind::S64 => ColumnData::S64(words.into_iter().map(|word| word as i64).collect()),
            Kind::F32 => ColumnData::F32(words.iter().map(|&word| f32::from_bits(word as u32)).collect()),
            Kind::F64 => ColumnData::F64(words.into_iter().map(f64::from_bits).collect()),
            Kind::Utf8 => ColumnData::Utf8(texts(&words, &self.is_null, data, unescaped)),
        };
        Column { validity, data }
    }
}

fn pack(bits: impl ExactSizeIterator<Item = bool>) -> Vec<u8> {
    let mut packed = vec![0; bits.len().div_ceil(8)];
    bits.enumerate().for_each(|(row, bit)| packed[row / 8] |= u8::from(bit) << (row % 8));
    packed
}

fn texts(words: &[u64], is_null: &[bool], data: &[u8], unescaped: &[u8]) -> VarBytes {
    let spans = words.iter().zip(is_null).map(|(&word, &null)| Span::of_word(if null { 0 } else { word }));
    let mut texts =
        VarBytes { offsets: Vec::with_capacity(words.len() + 1), data: Vec::with_capacity(8 * words.len()) };
    texts.offsets.push(0);
    for span in spans {
        append(&mut texts.data, if span.is_unescaped { unescaped } else { data }, span);
        texts.offsets.push(texts.data.len() as u32);
    }
    texts
}

/// Appends a text; a short one as a whole word that is then cut, which spares a call.
#[inline]
fn append(to: &mut Vec<u8>, from: &[u8], span: Span) {
    let (start, len) = (span.start as usize, span.len as usize);
    match from.get(start..start + 8) {
        Some(word) if len <= 8 => {
            let end = to.len() + len;
            to.extend_from_slice(word);
            to.truncate(end);
        }
        _ => to.extend_from_slice(&from[start..start + len]),
    }
}
