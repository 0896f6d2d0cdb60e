//! Flat JSON records into typed columns: a strict parser. A library, no plugin: what `ticker-json` and
//! every plugin like it export is a [`FlatJson`] of their own [`Record`].
//!
//! Settings, both optional:
//! - `fields`, a list of `{"name": …, "type": …}` with the types `boolean`, `s32`, `s64`,
//!   `f32`, `f64` and `utf8`; without it, those of the record;
//! - `event_time`, the field that must be there and not null, `event_time` by default, or
//!   null for none.
//!
//! Other fields may be missing or null; keys that are not among the fields are checked and
//! passed over. A key that comes twice has its last value, and each of them must be right.
//!
//! A record that is not right is rejected with the kind of its first fault in the order of
//! bytes (see [`fault::kind`]). Which columns are wanted makes no difference to that.
//!
//! Two parsers do the work: `general` reads anything; `quick` reads records that look
//! like one that the general one has read before, and gives up at anything unexpected, upon
//! which the general one starts over. A test compares the two.
//!
//! ```
//! use flat_json::{FlatJson, Kind, Record};
//! use speed_layer_sdk::prelude::*;
//!
//! struct Reading;
//!
//! impl Record for Reading {
//!     fn fields() -> Vec<(&'static str, Kind)> {
//!         vec![("event_time", Kind::S64), ("level", Kind::F64)]
//!     }
//! }
//!
//! let parser: FlatJson<Reading> = speed_layer_sdk::parse::configure("{}").unwrap();
//! assert_eq!(names(&parser.describe().output), "event_time, level");
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod digits;
pub mod fault;
mod fields;
mod general;
mod numbers;
mod quick;
mod rows;
mod shape;
mod strings;
mod words;

use std::marker::PhantomData;
use std::ops::Range;

use fault::{Fault, kind};
use fields::Fields;
pub use fields::Kind;
use general::Place;
use quick::Miss;
use rows::Rows;
use shape::Shape;
use speed_layer_sdk::prelude::*;

/// So many shapes are remembered: of as many producers that write differently.
const SHAPES_MAX: usize = 4;

/// The fields of an exchange's tick, for the plugins that read it.
pub const TICK: [(&str, Kind); 12] = [
    ("symbol", Kind::Utf8),
    ("event_time", Kind::S64),
    ("price", Kind::F64),
    ("open", Kind::F64),
    ("high", Kind::F64),
    ("low", Kind::F64),
    ("volume", Kind::F64),
    ("quote_volume", Kind::F64),
    ("number_trades", Kind::S64),
    ("price_change", Kind::F64),
    ("price_change_percent", Kind::F64),
    ("timestamp", Kind::Utf8),
];

/// What a plugin's records usually have.
pub trait Record: 'static {
    /// Names and types, in the order of the output's columns.
    fn fields() -> Vec<(&'static str, Kind)>;
}

/// The parser of one plugin; see the crate's own words.
#[derive(Debug)]
pub struct FlatJson<R> {
    record: PhantomData<R>,
    fields: Fields,
    /// Of each field the number of its column, if it is wanted.
    columns: Vec<Option<usize>>,
    wanted: Vec<usize>,
    shapes: Vec<Shape>,
    /// The shape of the last record, and the place of the next one to be learnt.
    current: usize,
    oldest: usize,
}

impl<R: Record> Parse for FlatJson<R> {
    fn configure(config: &mut Config) -> Result<Self, Refusal> {
        let fields = Fields::configure(config, &R::fields())?;
        let columns = vec![None; fields.list.len()];
        Ok(FlatJson {
            record: PhantomData,
            fields,
            columns,
            wanted: vec![],
            shapes: vec![],
            current: 0,
            oldest: 0,
        })
    }

    fn describe(&self) -> ParseDescription {
        ParseDescription { output: self.fields.schema(), reads: RawFields::VALUE }
    }

    fn open(&mut self, wanted: &[u32]) -> Result<(), Refusal> {
        self.wanted = wanted.iter().map(|&number| number as usize).collect();
        for (column, &field) in self.wanted.iter().enumerate() {
            self.columns[field] = Some(column);
        }
        Ok(())
    }

    fn parse(&mut self, _: &Context, records: RawBatch) -> Result<Parsed, Failure> {
        let values = RawValues::of(&records)?;
        let kinds = self.wanted.iter().map(|&field| self.fields.list[field].kind);
        let mut rows = Rows::new(kinds, records.rows as usize);
        let mut parsed = ParsedRows::default();
        for record in 0..records.rows {
            let result = match values.range(record as usize) {
                Some(range) => self.record(values.packed(), range, &mut rows),
                None => Err(Fault { kind: kind::TOMBSTONE, message: "the record has no value".to_owned() }),
            };
            match result {
                Ok(()) => {
                    rows.keep();
                    parsed.keep(record);
                }
                Err(fault) => parsed.reject(record, fault.kind, &fault.message),
            }
        }
        Ok(parsed.finish(rows.finish(values.packed())))
    }
}

impl<R> FlatJson<R> {
    /// Reads one record into the row to be written.
    #[inline]
    fn record(&mut self, data: &[u8], range: Range<usize>, rows: &mut Rows) -> Result<(), Fault> {
        let mut is_shape_known = false;
        for _ in 0..self.shapes.len() {
            match quick::read(data, range.clone(), &self.shapes[self.current], rows) {
                Ok(()) => return Ok(()),
                Err(Miss::Value) => {
                    is_shape_known = true;
                    break;
                }
                Err(Miss::Shape) => {
                    rows.forget_row();
                    self.current = (self.current + 1) % self.shapes.len();
                }
            }
        }
        self.general_record(data, range, rows, is_shape_known)
    }

    #[cold]
    fn general_record(
        &mut self,
        data: &[u8],
        range: Range<usize>,
        rows: &mut Rows,
        is_shape_known: bool,
    ) -> Result<(), Fault> {
        let record = &data[range.clone()];
        let target = general::Target { rows, columns: &self.columns, origin: range.start };
        let places = general::read(record, &self.fields, target).inspect_err(|_| rows.forget_row())?;
        if !is_shape_known {
            self.learn(record, &places);
        }
        Ok(())
    }

    /// Remembers the record's shape in the place of the one learnt longest ago.
    fn learn(&mut self, record: &[u8], places: &[Place]) {
        let Some(shape) = Shape::learn(record, places, &self.fields, &self.columns) else { return };
        if self.shapes.len() < SHAPES_MAX {
            self.current = self.shapes.len();
            self.shapes.push(shape);
        } else {
            self.current = self.oldest;
            self.shapes[self.oldest] = shape;
            self.oldest = (self.oldest + 1) % SHAPES_MAX;
        }
    }
}
