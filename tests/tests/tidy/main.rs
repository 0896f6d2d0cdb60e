//! The rules of the house that a machine can hold: layout of the rooms, size and style of the sources, what
//! is depended on, the compose file. Each rule is a function over text that is also tried on a bad example.
//!
//! What rustfmt, clippy and rustdoc check is not checked again here.

mod compose;
mod dependencies;
mod docs;
mod failpoints;
mod files;
mod functions;
mod licences;
mod rooms;
mod rust_text;
mod security;
mod style;
