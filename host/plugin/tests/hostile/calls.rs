//! The functions of the contract, and how the host comes to call each of them.

use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use speed_layer_core::records::Records;
use speed_layer_plugin::{Aggregator, Context, Plugin, PluginError, Stage};

use crate::answer::GIVEN;

const CONTEXT: Context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };

/// A function of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub stage: Stage,
    pub function: &'static str,
}

/// All functions of a stage, with their parameters as WebAssembly has them.
pub const fn functions(stage: Stage) -> &'static [(&'static str, &'static str)] {
    match stage {
        Stage::Parse => &[("describe", "i32 i32"), ("open", "i32 i32 i32 i32"), ("parse", "i32")],
        Stage::Transform => &[
            ("describe", "i32 i32 i32 i32"),
            ("open", "i32 i32 i32 i32 i32 i32 i32 i32"),
            ("transform", "i64 i32 i64 i64 i32 i32 i32"),
        ],
        Stage::Aggregate => &[
            ("describe", "i32 i32 i32 i32"),
            ("open", "i32 i32 i32 i32"),
            ("update", "i64 i32 i64 i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
            ("merge", "i64 i32 i64 i64 i32 i32 i32 i32 i32 i32"),
            ("finish", "i64 i32 i64 i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
            ("migrate", "i32 i32 i32 i32 i32 i32"),
        ],
    }
}

/// Every function of every stage.
pub fn all() -> Vec<Call> {
    let of = |stage| functions(stage).iter().map(move |(function, _)| Call { stage, function });
    Stage::ALL.into_iter().flat_map(of).collect()
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stage, self.function)
    }
}

impl Call {
    pub fn describes(self) -> bool {
        self.function == "describe"
    }

    /// Its result holds rows or states, be it a single one.
    pub fn gives_rows(self) -> bool {
        self.function != "open" && (!self.describes() || self.stage == Stage::Aggregate)
    }

    /// Its result holds rejects or notes.
    pub fn gives_rejects(self) -> bool {
        matches!(self.function, "parse" | "transform" | "finish")
    }

    /// Its result says where rows come from.
    pub fn gives_origins(self) -> bool {
        matches!(self.function, "parse" | "transform")
    }

    /// It gives exactly a row for each that it was given.
    pub fn gives_as_many(self) -> bool {
        self.gives_rows() && !self.describes() && !self.gives_origins()
    }

    /// Calls everything up to this function, then the function; what that last one gives.
    pub fn make(self, plugin: &Plugin) -> Result<(), PluginError> {
        let describe = self.describes();
        let input = input();
        match self.stage {
            Stage::Parse if describe => plugin.describe_parse("{}").map(drop),
            Stage::Transform if describe => plugin.describe_transform("{}", &input).map(drop),
            Stage::Aggregate if describe => plugin.describe_aggregate("{}", &input).map(drop),
            Stage::Parse => {
                let mut parser = plugin.open_parse("{}", &COLUMNS)?;
                if self.function == "open" { Ok(()) } else { parser.parse(&CONTEXT, &records()).map(drop) }
            }
            Stage::Transform => {
                let mut transformer = plugin.open_transform("{}", &input, &[0], &COLUMNS)?;
                if self.function == "open" {
                    return Ok(());
                }
                transformer.transform(&CONTEXT, GIVEN as usize, &[prices()]).map(drop)
            }
            Stage::Aggregate => {
                let aggregator = plugin.open_aggregate("{}", &input)?;
                if self.function == "open" { Ok(()) } else { self.aggregate(plugin, aggregator) }
            }
        }
    }

    fn aggregate(self, plugin: &Plugin, mut aggregator: Aggregator) -> Result<(), PluginError> {
        let state = plugin.describe_aggregate("{}", &input())?.state;
        let each = UInt32Array::from(vec![0; GIVEN as usize]);
        let states = arrow_select::take::take_record_batch(&state.identity, &each).unwrap();
        let numbers: Vec<u32> = (0..GIVEN).collect();
        let (starts, ends) = (vec![0; GIVEN as usize], vec![1; GIVEN as usize]);
        match self.function {
            "update" => aggregator
                .update(&CONTEXT, GIVEN as usize, &[prices()], &numbers, &numbers, &states)
                .map(drop),
            "merge" => aggregator.merge(&CONTEXT, &states, &states).map(drop),
            "finish" => aggregator.finish(&CONTEXT, &states, &keys(), &starts, &ends, true).map(drop),
            _ => aggregator.migrate(1, &state.schema, &states).map(drop),
        }
    }
}

/// All columns that the guest gives.
const COLUMNS: [u32; 5] = [0, 1, 2, 3, 4];

fn input() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("price", DataType::Int64, true)]))
}

fn prices() -> ArrayRef {
    Arc::new(Int64Array::from(vec![1; GIVEN as usize]))
}

fn keys() -> RecordBatch {
    RecordBatch::try_new(input(), vec![prices()]).unwrap()
}

fn records() -> Records {
    let mut records = Records::default();
    for offset in 0..i64::from(GIVEN) {
        records.partitions.push(0);
        records.offsets.push(offset);
        records.timestamps_ms.push(-1);
        records.keys.push(None);
        records.values.push(Some(b"{}".as_slice()));
    }
    records
}
