//! The general parser: any record, slowly, and obviously right.
//!
//! It reads from left to right and stops at the first byte at which the record cannot be
//! right any more, which is what names the fault. A string, an array and an object have
//! their type from the first byte, a number or a word only when it is whole. So a record
//! that was cut off anywhere is `malformed-json`, whatever was cut.

use crate::fault::{Fault, kind, shown};
use crate::fields::{Fields, Kind};
use crate::numbers::{Misfit, Number};
use crate::rows::{Cell, Rows, Span};
use crate::strings::{self, Utf8End};

/// Arrays and objects inside a record may be nested so deep.
pub const DEPTH_MAX: usize = 64;

/// A value of the record's object: where it is, and the field that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first byte of the value in the record.
    pub begin: usize,
    /// The place after it.
    pub end: usize,
    /// The number of the field; none for a key that is not asked for.
    pub field: Option<usize>,
}

/// Where a record's cells go.
pub struct Target<'a> {
    /// The columns.
    pub rows: &'a mut Rows,
    /// Of each field the number of its column, if it is wanted.
    pub columns: &'a [Option<usize>],
    /// Where the record begins in the batch's bytes.
    pub origin: usize,
}

/// Reads a record into the row to be written, and gives the places of its values.
///
/// # Errors
/// The first fault; the row is then to be forgotten.
pub fn read(record: &[u8], fields: &Fields, target: Target<'_>) -> Result<Vec<Place>, Fault> {
    target.rows.clear_row();
    let mut reader = Reader {
        record,
        utf8: Utf8End::of(record),
        at: 0,
        fields,
        target,
        has_event_time: fields.event_time.is_none(),
        places: vec![],
    };
    reader.whole_record()?;
    Ok(reader.places)
}

struct Reader<'a> {
    record: &'a [u8],
    utf8: Utf8End,
    at: usize,
    fields: &'a Fields,
    target: Target<'a>,
    has_event_time: bool,
    places: Vec<Place>,
}

impl Reader<'_> {
    fn whole_record(&mut self) -> Result<(), Fault> {
        self.skip_space();
        match self.peek() {
            None => return Err(Fault::at(kind::EMPTY, 0, "the value is empty or blank")),
            Some(b'{') => self.record_object()?,
            Some(_) => return Err(self.not_an_object()),
        }
        self.skip_space();
        if self.at < self.record.len() {
            let what = format!("{} follows the record", shown(&self.record[self.at..]));
            return Err(Fault::at(kind::TRAILING_DATA, self.at, what));
        }
        if !self.has_event_time {
            return Err(self.missing_event_time());
        }
        Ok(())
    }

    fn not_an_object(&mut self) -> Fault {
        let begin = self.at;
        let is_value = match self.peek() {
            Some(b'"' | b'[') => Ok(()),
            _ => self.any_value(0),
        };
        let what = format!("expected an object, found {}", shown(&self.record[begin..]));
        is_value.err().unwrap_or_else(|| Fault::at(kind::NOT_AN_OBJECT, begin, what))
    }

    fn missing_event_time(&self) -> Fault {
        let name = self.fields.event_time.map_or("", |number| &self.fields.list[number].name);
        let message = format!("the field {name:?}, the event time, is missing or null");
        Fault { kind: kind::MISSING_EVENT_TIME, message }
    }

    fn record_object(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.skip_space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let field = self.key()?;
            let begin = self.at;
            self.field_value(field)?;
            self.places.push(Place { begin, end: self.at, field });
            if self.ends_or_goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// A key, its colon and the space around it; gives the field that it names.
    fn key(&mut self) -> Result<Option<usize>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let begin = self.at + 1;
        let text = strings::read(self.record, self.utf8, self.at)?;
        let key = text.unescaped.as_deref().unwrap_or(&self.record[begin..text.end - 1]);
        let field = self.fields.position(key);
        self.at = text.end;
        self.skip_space();
        if !self.take(b':') {
            return Err(self.unexpected("a colon"));
        }
        self.skip_space();
        Ok(field)
    }

    /// After a value: true at the closing bracket, false after a comma that something follows.
    fn ends_or_goes_on(&mut self, closing: u8) -> Result<bool, Fault> {
        self.skip_space();
        if self.take(closing) {
            return Ok(true);
        }
        if !self.take(b',') {
            return Err(self.unexpected(&format!("a comma or {:?}", char::from(closing))));
        }
        self.skip_space();
        Ok(false)
    }

    fn field_value(&mut self, field: Option<usize>) -> Result<(), Fault> {
        let Some(number) = field else { return self.any_value(0) };
        let spec = &self.fields.list[number];
        let cell = self.cell(spec.kind).map_err(|fault| fault.within(&spec.name))?;
        if self.fields.event_time == field {
            self.has_event_time = cell != Cell::Null;
        }
        if let Some(column) = self.target.columns[number] {
            self.target.rows.set(column, cell);
        }
        Ok(())
    }

    /// A value that has to be of this kind, or null.
    fn cell(&mut self, kind: Kind) -> Result<Cell, Fault> {
        match self.peek() {
            Some(b'"') if kind == Kind::Utf8 => self.text(),
            Some(b'"' | b'[' | b'{') => Err(self.wrong_type(kind, self.at)),
            Some(b'-' | b'0'..=b'9') => self.number(kind),
            Some(b't' | b'f' | b'n') => self.word(kind),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn text(&mut self) -> Result<Cell, Fault> {
        let begin = self.at + 1;
        let text = strings::read(self.record, self.utf8, self.at)?;
        self.at = text.end;
        let span = match text.unescaped {
            Some(unescaped) => self.target.rows.add_unescaped(&unescaped),
            None => Span {
                start: (self.target.origin + begin) as u32,
                len: (text.end - 1 - begin) as u32,
                is_unescaped: false,
            },
        };
        Ok(Cell::Text(span))
    }

    fn number(&mut self, kind: Kind) -> Result<Cell, Fault> {
        let number = Number::read(self.record, self.at)?;
        let cell = match kind {
            Kind::S32 => number.to_i32().map(|value| Cell::Integer(value.into())),
            Kind::S64 => number.to_i64().map(Cell::Integer),
            Kind::F32 => number.to_f32().map(Cell::F32),
            Kind::F64 => number.to_f64().map(Cell::F64),
            Kind::Boolean | Kind::Utf8 => Err(Misfit::NotThisType),
        };
        let cell = cell.map_err(|misfit| match misfit {
            Misfit::NotThisType => self.wrong_type(kind, self.at),
            Misfit::OutOfRange => {
                let what =
                    format!("{} is too large for {}", shown(number.text().as_bytes()), kind.type_name());
                Fault::at(kind::OUT_OF_RANGE, self.at, what)
            }
        })?;
        self.at += number.text().len();
        Ok(cell)
    }

    fn word(&mut self, kind: Kind) -> Result<Cell, Fault> {
        let begin = self.at;
        match self.any_word()? {
            None => Ok(Cell::Null),
            Some(value) if kind == Kind::Boolean => Ok(Cell::Boolean(value)),
            Some(_) => Err(self.wrong_type(kind, begin)),
        }
    }

    /// `true`, `false`, or `null` as none.
    fn any_word(&mut self) -> Result<Option<bool>, Fault> {
        let words: [(&[u8], _); 3] = [(b"true", Some(true)), (b"false", Some(false)), (b"null", None)];
        let rest = &self.record[self.at..];
        let Some((word, value)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) else {
            return Err(self.unexpected("a value"));
        };
        self.at += word.len();
        Ok(value)
    }

    /// A value of any type, inside `depth` brackets, of which nobody wants anything.
    fn any_value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.at = strings::read(self.record, self.utf8, self.at)?.end,
            Some(b'-' | b'0'..=b'9') => self.at += Number::read(self.record, self.at)?.text().len(),
            Some(b't' | b'f' | b'n') => _ = self.any_word()?,
            Some(b'[' | b'{') if depth == DEPTH_MAX => {
                let what = format!("nested more than {DEPTH_MAX} deep");
                return Err(Fault::at(kind::MALFORMED_JSON, self.at, what));
            }
            Some(b'[') => self.any_list(b']', depth)?,
            Some(b'{') => self.any_list(b'}', depth)?,
            _ => return Err(self.unexpected("a value")),
        }
        Ok(())
    }

    /// An array, or an object if it closes with a brace.
    fn any_list(&mut self, closing: u8, depth: usize) -> Result<(), Fault> {
        self.at += 1;
        self.skip_space();
        if self.take(closing) {
            return Ok(());
        }
        loop {
            if closing == b'}' {
                self.key()?;
            }
            self.any_value(depth + 1)?;
            if self.ends_or_goes_on(closing)? {
                return Ok(());
            }
        }
    }

    fn wrong_type(&self, kind: Kind, at: usize) -> Fault {
        let what = format!("expected {}, found {}", kind.expected(), shown(&self.record[at..]));
        Fault::at(kind::WRONG_TYPE, at, what)
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let what = match self.record.get(self.at..).filter(|rest| !rest.is_empty()) {
            Some(rest) => format!("expected {expected}, found {}", shown(rest)),
            None => format!("expected {expected}, found the end of the record"),
        };
        Fault::at(kind::MALFORMED_JSON, self.at, what)
    }

    fn peek(&self) -> Option<u8> {
        self.record.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}
