//! The names of stages and callbacks, and the clock that a call is given.

use std::fmt;

use crate::bindings::speed_layer::plugin::types;

/// An open plugin of any stage.
pub trait Timed {
    /// Gives the next calls this many times the time that a call may take, by both clocks.
    fn set_times(&mut self, times: f64);
}

/// What a plugin does in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Raw records to typed columns.
    Parse,
    /// Columns to columns.
    Transform,
    /// Rows to states, states to results.
    Aggregate,
}

impl Stage {
    /// All of them, in the order of the line.
    pub const ALL: [Stage; 3] = [Stage::Parse, Stage::Transform, Stage::Aggregate];

    /// The name of its interface in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Parse => "parse",
            Stage::Transform => "transform",
            Stage::Aggregate => "aggregate",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The function of a plugin that is being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Callback {
    /// Not a function of the contract: the start of a fresh instance.
    Instantiate,
    Describe,
    Open,
    Parse,
    Transform,
    Update,
    Merge,
    Finish,
    Migrate,
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Callback::Instantiate => "instantiate",
            Callback::Describe => "describe",
            Callback::Open => "open",
            Callback::Parse => "parse",
            Callback::Transform => "transform",
            Callback::Update => "update",
            Callback::Merge => "merge",
            Callback::Finish => "finish",
            Callback::Migrate => "migrate",
        })
    }
}

/// The only clock a plugin has. The commit that takes in the call's rows stores it,
/// so that a recomputation sees the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The commit that the call's rows will be part of.
    pub epoch: u64,
    /// Event time up to which windows are closed as of the last commit, milliseconds
    /// since 1970 UTC; `None` before the first.
    pub closed_through_ms: Option<i64>,
    /// Wall clock at which the epoch began, milliseconds since 1970 UTC.
    pub epoch_began_ms: i64,
}

impl From<&Context> for types::Context {
    fn from(context: &Context) -> Self {
        Self {
            epoch: context.epoch,
            closed_through_ms: context.closed_through_ms,
            epoch_began_ms: context.epoch_began_ms,
        }
    }
}
