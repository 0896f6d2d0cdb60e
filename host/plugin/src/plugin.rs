//! A loaded plugin: what it is, and the way to instances of it. Loading and compiling
//! are behind it; no guest code has run yet.

use std::fmt;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use wasmtime::component::InstancePre;

use crate::bindings::exports::speed_layer::plugin::{aggregate, parse, transform};
use crate::guest_host::GuestHost;
use crate::surface::CONTRACT_VERSION;
use crate::{
    AggregateDescription, Aggregator, CallSite, Callback, Limits, LoadError, ParseDescription, Parser,
    PluginError, PluginId, Stage, TransformDescription, Transformer, Usage,
};

/// How to start an instance of the one stage that a component exports.
pub(crate) enum Entry {
    Parse(parse::GuestIndices, InstancePre<GuestHost>),
    Transform(transform::GuestIndices, InstancePre<GuestHost>),
    Aggregate(aggregate::GuestIndices, InstancePre<GuestHost>),
}

impl Entry {
    fn stage(&self) -> Stage {
        match self {
            Entry::Parse(..) => Stage::Parse,
            Entry::Transform(..) => Stage::Transform,
            Entry::Aggregate(..) => Stage::Aggregate,
        }
    }
}

/// All that is known of a plugin once it is loaded.
pub(crate) struct Loaded {
    pub id: Arc<PluginId>,
    pub file: String,
    pub imports: Vec<String>,
    pub component: Arc<[u8]>,
    pub signature: Option<Arc<[u8]>>,
    pub limits: Limits,
    pub entry: Entry,
    pub usage: Arc<Usage>,
}

/// A plugin that can be described and opened. Cheap to clone; any thread may open
/// instances of it.
#[derive(Clone)]
pub struct Plugin {
    loaded: Arc<Loaded>,
}

impl Plugin {
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self { loaded: Arc::new(loaded) }
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Its name and digest.
    pub fn id(&self) -> &PluginId {
        &self.loaded.id
    }

    /// The stage that it exports.
    pub fn stage(&self) -> Stage {
        self.loaded.entry.stage()
    }

    /// The version of the contract that it is written to.
    pub fn contract(&self) -> &str {
        CONTRACT_VERSION
    }

    /// The names of what it imports, all of them allowed.
    pub fn imports(&self) -> &[String] {
        &self.loaded.imports
    }

    /// The size of its component.
    pub fn component_bytes(&self) -> u64 {
        self.loaded.component.len() as u64
    }

    /// Its component, as it was loaded.
    pub fn component(&self) -> &[u8] {
        &self.loaded.component
    }

    /// The signature that it was loaded with, whether somebody has looked at it or not.
    pub fn signature(&self) -> Option<&[u8]> {
        self.loaded.signature.as_deref()
    }

    /// What it was called for since it was loaded.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.loaded.usage
    }

    /// Refuses a plugin that is not of the stage it is used for.
    pub fn require_stage(&self, expected: Stage) -> Result<(), LoadError> {
        let found = self.stage();
        if found == expected {
            return Ok(());
        }
        Err(LoadError::WrongStage { file: self.loaded.file.clone(), found, expected })
    }

    /// What the parser gives under `config` (a JSON object), asked of an instance that
    /// is then dropped.
    pub fn describe_parse(&self, config: &str) -> Result<ParseDescription, PluginError> {
        Parser::describe(self, config)
    }

    /// A parser that gives the columns numbered `wanted` (rising) of its description.
    pub fn open_parse(&self, config: &str, wanted: &[u32]) -> Result<Parser, PluginError> {
        Parser::open(self, config, wanted)
    }

    /// What the transform makes of `input` under `config`, asked of an instance that is
    /// then dropped.
    pub fn describe_transform(
        &self,
        config: &str,
        input: &SchemaRef,
    ) -> Result<TransformDescription, PluginError> {
        Transformer::describe(self, config, input)
    }

    /// A transform that is given the entries `given` (rising) of its needs and gives the
    /// output columns `wanted` (rising), all of them computed ones.
    pub fn open_transform(
        &self,
        config: &str,
        input: &SchemaRef,
        given: &[u32],
        wanted: &[u32],
    ) -> Result<Transformer, PluginError> {
        Transformer::open(self, config, input, given, wanted)
    }

    /// What the aggregate makes of `input` under `config`, asked of an instance that is
    /// then dropped.
    pub fn describe_aggregate(
        &self,
        config: &str,
        input: &SchemaRef,
    ) -> Result<AggregateDescription, PluginError> {
        Aggregator::describe(self, config, input)
    }

    /// An aggregate over `input`.
    pub fn open_aggregate(&self, config: &str, input: &SchemaRef) -> Result<Aggregator, PluginError> {
        Aggregator::open(self, config, input)
    }

    /// A call of it, for errors.
    pub(crate) fn call_site(&self, callback: Callback) -> CallSite {
        CallSite { plugin: self.id().clone(), stage: self.stage(), callback }
    }

    /// The error of asking this plugin for what another stage does.
    pub(crate) fn wrong_stage(&self, asked: Stage, callback: Callback) -> PluginError {
        let call = CallSite { plugin: self.id().clone(), stage: asked, callback };
        PluginError::WrongStage { call, found: self.stage() }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("id", self.id()).field("stage", &self.stage()).finish_non_exhaustive()
    }
}

/// Numbers of columns that the caller picks rise strictly and are less than `count`.
pub(crate) fn check_rising(what: &str, numbers: &[u32], count: usize) -> Result<(), String> {
    if numbers.windows(2).any(|pair| pair[1] <= pair[0]) {
        return Err(format!("the numbers of {what} columns do not rise: {numbers:?}"));
    }
    match numbers.last() {
        Some(last) if *last as usize >= count => Err(format!("{what} names column {last} of {count}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_shared_between_threads_and_instances_move_between_them() {
        fn shared<T: Send + Sync>() {}
        fn moves<T: Send>() {}
        shared::<Plugin>();
        moves::<Parser>();
        moves::<Transformer>();
        moves::<Aggregator>();
    }

    #[test]
    fn numbers_of_columns_rise_and_are_there() {
        for (numbers, good) in
            [(&[][..], true), (&[0, 2], true), (&[0, 3], false), (&[1, 1], false), (&[2, 0], false)]
        {
            assert_eq!(check_rising("wanted", numbers, 3).is_ok(), good, "{numbers:?}");
        }
    }
}
