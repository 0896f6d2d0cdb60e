//! The plugin runtime: loads WebAssembly components that implement a stage of the
//! contract in `wit/`, calls them under limits and checks in full what they return.
//!
//! Arrow goes in and Arrow comes out; a value that breaks the contract never becomes
//! an array. It deliberately knows nothing of Kafka, of windows or of storage, keeps
//! no state between calls but the guest's own memory, and never retries: the caller
//! decides from the [`PluginError`] what becomes of a batch.
#![deny(unsafe_code)]

mod admission;
mod aggregate;
#[allow(unsafe_code)] // the generated calls hold wasmtime's own unchecked casts
mod bindings;
mod cache;
mod clause;
mod compile_apart;
mod deadline;
mod describe;
mod digest;
mod engine;
mod error;
mod guest_host;
mod identity;
mod instance;
mod lift;
mod limits;
mod load;
mod load_error;
mod lower;
#[allow(unsafe_code)] // see its SAFETY paragraph
mod machine_code;
mod meter;
mod pack;
mod parse;
mod plugin;
mod printable;
mod runtime;
mod schema;
mod stage;
mod surface;
mod switch;
mod transform;
mod usage;

pub use admission::Admission;
pub use aggregate::{Aggregator, Finished};
pub use cache::CacheError;
pub use clause::{Clause, ColumnFault};
pub use compile_apart::{Compiler, compile_for_parent};
pub use deadline::Clock;
pub use describe::{
    AggregateDescription, Need, Origin, OutputColumn, ParseDescription, RawFields, StateDescription,
    TransformDescription,
};
pub use digest::Digest;
pub use error::{PluginError, Refusal};
pub use identity::{CallSite, PluginId};
pub use lift::Rejects;
pub use limits::Limits;
pub use load::{read_signature, signature_path};
pub use load_error::LoadError;
pub use pack::{PackError, pack};
pub use parse::{Parsed, Parser};
pub use plugin::Plugin;
pub use runtime::{Runtime, RuntimeError, RuntimeOptions};
pub use stage::{Callback, Context, Stage, Timed};
pub use surface::CONTRACT_VERSION;
#[cfg(feature = "unlimited")]
pub use switch::set_limits;
pub use transform::{Transformed, Transformer};
pub use usage::{CALL_BOUNDS_US, CallCount, Usage};
