//! A running job's control socket, `control.sock` in its checkpoint directory: whoever
//! may run the job may ask it for a swap: the socket is its user's alone. One request a
//! connection: a line of JSON, then the component's bytes; answers are lines of JSON. Readers ask it for copies of
//! what is not committed yet, whose bytes follow the answer.

mod client;
mod message;
mod server;
mod swap;

pub use client::{ask, copies};
pub use message::{Answer, SwapRequest};
pub use server::Server;
pub use swap::make as make_swap;

/// The socket's name in the job's checkpoint directory.
const SOCKET: &str = "control.sock";
