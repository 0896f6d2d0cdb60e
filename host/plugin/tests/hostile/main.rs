//! Plugins that mean ill, in every function of the contract: each is refused or ended with an error that says whose
//! call it was, within its time and its memory, and the process lives.
//!
//! The guest is written here as WebAssembly text (`guest`): its functions return values that lie ready in its memory
//! (`answer`, in the form that `abi` lays out), and one of them does something else. What becomes of a job with such a
//! plugin is tested in the host.

mod abi;
mod answer;
mod calls;
mod check;
mod clauses;
mod ends;
mod files;
mod forms;
mod guest;
mod logs;
