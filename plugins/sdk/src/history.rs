//! What a version of a state changed, as its plugin declares it: one line a change.
//!
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! fn plan(input: &Schema) -> Result<Plan, Refusal> {
//!     let mut plan = Plan::new(1, input);
//!     plan.add("peak", "peak", Max::<f64>::of("price"))?;
//!     plan.add("rows", "rows", Count)?;
//!     plan.since(2).add("sum", "sum", SumF64::of("price"))?;
//!     plan.since(3).rename("ticks", "rows").widen("rows", DataType::S32, DataType::S64);
//!     plan.check()?;
//!     Ok(plan)
//! }
//! assert_eq!(plan(&schema([])).unwrap().describe().state.version, 3);
//! ```
//! The states of version 1 had `peak` and `ticks` of 32 bits; nothing is declared twice. The
//! order of the lines of different versions means nothing; those of one version are made in theirs.

use std::collections::BTreeMap;
use std::fmt;

use crate::plan::{Accumulator, Plan};
use crate::schema::type_name;
use crate::types::{Batch, Column, DataType, Failure, Field, Refusal, Schema};

/// Makes the columns of one version from states of the version before it.
pub(crate) type Convert = Box<dyn Fn(&Batch) -> Result<Vec<Column>, Failure>>;

/// One thing that a version changed.
pub(crate) enum Change {
    Added { column: String, default: Column },
    Renamed { from: String, to: String },
    Widened { column: String, from: DataType, to: DataType },
    Removed { field: Field },
    Converted { before: Schema, convert: Convert },
}

impl fmt::Display for Change {
    /// As the plugin wrote it, but for what is too long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added { column, .. } => write!(f, "add({column:?})"),
            Change::Renamed { from, to } => write!(f, "rename({from:?}, {to:?})"),
            Change::Widened { column, from, to } => {
                write!(f, "widen({column:?}, {}, {})", type_name(*from), type_name(*to))
            }
            Change::Removed { field } => write!(f, "remove({:?})", field.name),
            Change::Converted { .. } => f.write_str("convert"),
        }
    }
}

/// All declared changes by the version that made them.
#[derive(Default)]
pub(crate) struct History {
    changes: BTreeMap<u32, Vec<Change>>,
}

impl History {
    pub fn push(&mut self, version: u32, change: Change) {
        self.changes.entry(version).or_default().push(change);
    }

    /// In the order in which they were declared; none of a version whose states before it
    /// nobody can read.
    pub fn of(&self, version: u32) -> Option<&[Change]> {
        self.changes.get(&version).map(Vec::as_slice)
    }

    /// The least version that something is declared of.
    pub fn first(&self) -> Option<u32> {
        self.changes.keys().next().copied()
    }
}

/// The changes of one version. Names are those of accumulators or of single state columns.
///
/// What is declared is checked once the plan is whole: a contradiction is a refusal before
/// anything runs.
pub struct Since<'a> {
    pub(crate) plan: &'a mut Plan,
    pub(crate) version: u32,
}

impl Since<'_> {
    /// An accumulator that is new: [`Plan::add`], and older states begin with its identity.
    ///
    /// # Errors
    /// Those of [`Plan::add`].
    pub fn add(
        self,
        state_name: &str,
        output_name: &str,
        accumulator: impl Accumulator,
    ) -> Result<(), Refusal> {
        let defaults = accumulator.state().into_iter().map(|column| column.identity).collect();
        self.add_from(state_name, output_name, accumulator, defaults)
    }

    /// An accumulator that is new and whose state in older groups is `defaults`: one row for
    /// each of its state columns, for example `vec![one(1.0)]`.
    ///
    /// # Errors
    /// Those of [`Plan::add`].
    pub fn add_from(
        self,
        state_name: &str,
        output_name: &str,
        accumulator: impl Accumulator,
        defaults: Vec<Column>,
    ) -> Result<(), Refusal> {
        let columns = self.plan.add_named(state_name, output_name, accumulator)?;
        if columns.len() != defaults.len() {
            return Err(contradiction(&format!(
                "since({}).add({state_name:?}): its state has {} columns and {} defaults are given",
                self.version,
                columns.len(),
                defaults.len()
            )));
        }
        let version = self.version;
        for (column, default) in columns.into_iter().zip(defaults) {
            self.plan.history.push(version, Change::Added { column, default });
        }
        Ok(())
    }

    /// A single state column that was new: of an accumulator that had fewer before, or one that
    /// a later version removed or a later [`Since::convert`] is given. `default` is one row.
    pub fn added(self, column: &str, default: Column) -> Self {
        self.with(Change::Added { column: column.to_owned(), default })
    }

    /// An accumulator, with all its columns, or a single column that had another name before.
    pub fn rename(self, from: &str, to: &str) -> Self {
        self.with(Change::Renamed { from: from.to_owned(), to: to.to_owned() })
    }

    /// A column that had a narrower type before: s32 to s64 or f64, f32 to f64, either whole
    /// number to a decimal with room for it, a decimal to one of more digits, dictionary-utf8
    /// to utf8, utf8 to binary.
    pub fn widen(self, column: &str, from: DataType, to: DataType) -> Self {
        self.with(Change::Widened { column: column.to_owned(), from, to })
    }

    /// A column that older states had and that is dropped.
    pub fn remove(self, field: Field) -> Self {
        self.with(Change::Removed { field })
    }

    /// Anything else: `convert` makes the columns of this version, in their order, from the
    /// states of the version before, whose columns are `before`. It is also called without a
    /// row, and then only what is wrong with every state is a failure. Nothing else can be
    /// declared of the same version.
    pub fn convert(
        self,
        before: Schema,
        convert: impl Fn(&Batch) -> Result<Vec<Column>, Failure> + 'static,
    ) -> Self {
        self.with(Change::Converted { before, convert: Box::new(convert) })
    }

    fn with(self, change: Change) -> Self {
        self.plan.history.push(self.version, change);
        self
    }
}

/// The refusal of a plugin whose declarations cannot all be true.
pub(crate) fn contradiction(why: &str) -> Refusal {
    Refusal::BadConfig(format!(
        "the plugin contradicts itself about its state's versions, whatever is set: {why}"
    ))
}
