//! From what a guest returned to Arrow. Every clause that the contract gives to the
//! host is checked here, on the flat lists, before an array is made of them; the lists
//! themselves become the arrays' buffers without a copy. Repairs nothing.

mod batch;
mod column;
mod origins;
mod rejects;
mod values;

pub(crate) use batch::{lift_batch, lift_exactly};
pub(crate) use origins::{check_kept, check_records};
pub use rejects::Rejects;
