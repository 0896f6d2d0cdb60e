//! The parse stage: raw records in, typed columns out.
//!
//! The trait has the contract's three steps; the types are the contract's own. What a record
//! means is the plugin's business.

use crate::bindings::parse::exports::speed_layer::plugin::parse as contract;
use std::ops::Range;

use crate::columns::bit;
use crate::config::Config;
use crate::rejects::RejectsBuilder;
use crate::types::{Batch, Column, Context, Failure, Refusal};

pub use contract::Description as ParseDescription;
pub use contract::{Guest, Headers, NullableBytes, Parsed, RawBatch, RawFields, TimestampType, Timestamps};

/// A parser. Exported with [`export_parse!`](crate::export_parse).
pub trait Parse: Sized + 'static {
    /// Reads the settings; those that it does not ask for are refused.
    ///
    /// # Errors
    /// `bad-config` says which setting, what is wrong and what is expected.
    fn configure(config: &mut Config) -> Result<Self, Refusal>;

    /// Every column that it can give, and the parts of a record that it reads.
    fn describe(&self) -> ParseDescription;

    /// Takes the numbers of the columns that are wanted, rising.
    ///
    /// # Errors
    /// `bad-config` when they cannot be given.
    fn open(&mut self, wanted: &[u32]) -> Result<(), Refusal>;

    /// Parses a batch. Which records are rejected must not depend on what is wanted.
    ///
    /// # Errors
    /// Those that concern the whole batch; a bad record is a reject.
    fn parse(&mut self, context: &Context, records: RawBatch) -> Result<Parsed, Failure>;
}

/// Configures a parser and refuses settings it does not know.
///
/// # Errors
/// The parser's own, and `bad-config` for an unknown setting.
pub fn configure<T: Parse>(config: &str) -> Result<T, Refusal> {
    let mut config = Config::read(config)?;
    let plugin = T::configure(&mut config)?;
    config.finish()?;
    Ok(plugin)
}

/// Configures and opens a parser.
///
/// # Errors
/// Those of both.
pub fn open<T: Parse>(config: &str, wanted: &[u32]) -> Result<T, Refusal> {
    let mut plugin: T = configure(config)?;
    plugin.open(wanted)?;
    Ok(plugin)
}

/// The values of a batch's records.
#[derive(Clone, Copy, Debug)]
pub struct RawValues<'a>(&'a NullableBytes);

impl<'a> RawValues<'a> {
    /// # Errors
    /// Stops the job when the batch has no values, although they were asked for.
    pub fn of(batch: &'a RawBatch) -> Result<Self, Failure> {
        let missing = || Failure::StopJob("the records came without their values".into());
        batch.value.as_ref().map(RawValues).ok_or_else(missing)
    }

    /// The bytes of a record's value; none for a tombstone.
    #[inline]
    pub fn get(&self, record: usize) -> Option<&'a [u8]> {
        self.range(record).map(|range| &self.packed()[range])
    }

    /// Where a record's value is in [`RawValues::packed`]; none for a tombstone.
    #[inline]
    pub fn range(&self, record: usize) -> Option<Range<usize>> {
        let is_there = self.0.validity.as_ref().is_none_or(|validity| bit(validity, record));
        let offsets = &self.0.bytes.offsets;
        is_there.then(|| offsets[record] as usize..offsets[record + 1] as usize)
    }

    /// The bytes of all values, one after the other.
    #[inline]
    pub fn packed(&self) -> &'a [u8] {
        &self.0.bytes.data
    }
}

/// Which records gave rows and which were rejected.
#[derive(Debug, Default)]
pub struct ParsedRows {
    rows: Vec<u32>,
    rejects: RejectsBuilder,
}

impl ParsedRows {
    /// The next row comes from `record`; several may.
    #[inline]
    pub fn keep(&mut self, record: u32) {
        self.rows.push(record);
    }

    /// `record` gives no row.
    pub fn reject(&mut self, record: u32, kind: &str, message: &str) {
        self.rejects.push(record, kind, message);
    }

    /// The result, with the wanted columns. The map of rows to records is left out where it
    /// says nothing.
    pub fn finish(self, columns: Vec<Column>) -> Parsed {
        let rows = Batch { rows: self.rows.len() as u32, columns };
        let says_nothing = self.rejects.is_empty() && self.rows.iter().copied().eq(0..rows.rows);
        let records = (!says_nothing).then_some(self.rows);
        Parsed { rows, records, rejects: self.rejects.finish() }
    }
}

/// Makes a component of the parse world from a [`Parse`].
#[macro_export]
macro_rules! export_parse {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::parse as stage;
            use $crate::types::{Context, Failure, Refusal};

            ::std::thread_local! {
                static OPEN: $crate::slot::Slot<$plugin> = const { $crate::slot::Slot::new() };
            }
            struct Exported;
            impl stage::Guest for Exported {
                fn describe(config: String) -> Result<stage::ParseDescription, Refusal> {
                    Ok(stage::Parse::describe(&stage::configure::<$plugin>(&config)?))
                }
                fn open(config: String, wanted: Vec<u32>) -> Result<(), Refusal> {
                    OPEN.with(|slot| slot.open(stage::open(&config, &wanted)))
                }
                fn parse(context: Context, records: stage::RawBatch) -> Result<stage::Parsed, Failure> {
                    OPEN.with(|slot| slot.call(|plugin| stage::Parse::parse(plugin, &context, records)))
                }
            }
    $crate::bindings::parse::export_parse_world!(Exported with_types_in $crate::bindings::parse);
        };
    };
}
