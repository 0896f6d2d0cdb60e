//! What a Speed Layer plugin is written with: the contract's types, safe readers and
//! builders of columns, accumulators, a config reader, and one trait and one export macro
//! a stage.
//!
//! It holds no state of its own and does nothing by itself: which rows a group has, when a
//! window closes and where states live is the host's business. A plugin builds for its own
//! machine too, so its logic is tested there with plain `cargo test`; the exports exist in
//! the WebAssembly build alone.
//!
//! # A parser
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! /// The value's length in bytes as one column, a tombstone rejected.
//! struct Length;
//!
//! impl Parse for Length {
//!     fn configure(_: &mut Config) -> Result<Self, Refusal> {
//!         Ok(Length)
//!     }
//!     fn describe(&self) -> ParseDescription {
//!         ParseDescription { output: schema([field("bytes", DataType::S64)]), reads: RawFields::VALUE }
//!     }
//!     fn open(&mut self, _wanted: &[u32]) -> Result<(), Refusal> {
//!         Ok(())
//!     }
//!     fn parse(&mut self, _: &Context, batch: RawBatch) -> Result<Parsed, Failure> {
//!         let values = RawValues::of(&batch)?;
//!         let (mut rows, mut bytes) = (ParsedRows::default(), Builder::<i64>::default());
//!         for record in 0..batch.rows {
//!             match values.get(record as usize) {
//!                 Some(value) => {
//!                     rows.keep(record);
//!                     bytes.push(Some(value.len() as i64));
//!                 }
//!                 None => rows.reject(record, "tombstone", "the record has no value"),
//!             }
//!         }
//!         Ok(rows.finish(vec![bytes.finish()]))
//!     }
//! }
//! export_parse!(Length);
//! ```
//! # A transform
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! /// Passes every column on and drops the rows whose price is null or below a minimum.
//! struct MinPrice {
//!     min: f64,
//!     input: Schema,
//! }
//!
//! impl Transform for MinPrice {
//!     fn configure(config: &mut Config, input: &Schema) -> Result<Self, Refusal> {
//!         require(input, "price", DataType::F64, "MinPrice")?;
//!         Ok(MinPrice { min: config.number("min", 0.0)?, input: input.clone() })
//!     }
//!     fn describe(&self) -> TransformDescription {
//!         let output = pass_on_all(&self.input);
//!         TransformDescription { needs: vec![Need::Column("price".into())], always_needs: vec![0], output }
//!     }
//!     fn open(&mut self, _given: &[u32], _wanted: &[u32]) -> Result<(), Refusal> {
//!         Ok(())
//!     }
//!     fn transform(&mut self, _: &Context, rows: Batch) -> Result<Transformed, Failure> {
//!         let prices = View::<f64>::of(&rows.columns[0])?;
//!         let keeps = |row: &u32| prices.get(*row as usize).is_some_and(|price| price >= self.min);
//!         let kept: Vec<u32> = (0..rows.rows).filter(keeps).collect();
//!         let rows = Batch { rows: kept.len() as u32, columns: vec![] };
//!         Ok(Transformed { rows, kept: Some(kept), rejects: RejectsBuilder::default().finish() })
//!     }
//! }
//! export_transform!(MinPrice);
//! ```
//! # An aggregate
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! /// The highest price and the count of rows.
//! struct Peak;
//!
//! impl Aggregate for Peak {
//!     fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
//!         let column = config.text("column", "price")?;
//!         let mut plan = Plan::new(1, input);
//!         plan.add("peak", "peak", Max::<f64>::of(&column))?;
//!         plan.add("count", "ticks", Count)?;
//!         Ok(plan)
//!     }
//! }
//! export_aggregate!(Peak);
//! ```
//! A state that no accumulator here keeps is an [`Accumulator`](plan::Accumulator) of the plugin's own.

#![deny(unsafe_code)]
#![warn(missing_docs)]

#[allow(missing_docs, unsafe_code, reason = "generated from the contract")]
#[doc(hidden)]
pub mod bindings;

pub mod accumulators;
pub mod aggregate;
pub mod columns;
pub mod config;
pub mod history;
mod migrate;
pub mod nullable;
pub mod parse;
pub mod plan;
pub mod rejects;
pub mod repeat;
pub mod schema;
pub mod slot;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod transform;
mod undo;
mod widen;

pub use bindings::parse::speed_layer::plugin::{host, types};

/// The guide's examples, which are compiled as everything else's are.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugins.md")]
pub struct Guide;

/// All that a plugin's file usually names.
pub mod prelude {
    pub use crate::accumulators::{Avg, Count, First, Last, Max, Min, SumF64, SumS64};
    pub use crate::aggregate::{Aggregate, Closing, Pairs};
    pub use crate::columns::{BooleanBuilder, Builder, TextBuilder, TextView, Value, View};
    pub use crate::config::Config;
    pub use crate::history::Since;
    pub use crate::nullable::{Nullable, values_mut};
    pub use crate::parse::{Parse, ParseDescription, Parsed, ParsedRows, RawBatch, RawFields, RawValues};
    pub use crate::plan::{Accumulator, Input, Notes, Plan, StateColumn};
    pub use crate::rejects::RejectsBuilder;
    pub use crate::repeat::one;
    pub use crate::schema::{field, names, pass_on_all, position, require, required, schema};
    pub use crate::transform::{Origin, OutputColumn, Transform, TransformDescription, Transformed};
    pub use crate::types::{
        Batch, Column, ColumnData, Context, DataType, DecimalShape, Failure, Field, Need, Refusal, Schema,
        VarBytes,
    };
    pub use crate::{export_aggregate, export_parse, export_transform};
}
