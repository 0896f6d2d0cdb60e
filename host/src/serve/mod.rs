//! What a running job tells over HTTP: its metrics for Prometheus, whether it lives and is ready, and as JSON where it
//! stands. `server` has the connections, `request` and `answer` what goes over them, `routes` knows the paths;
//! `board` is where the job leaves word and all answers are made from, by `metrics` and `api`.
//!
//! It only tells: nothing here changes a job, and no thread of the job ever waits for a reader.

mod answer;
mod api;
mod board;
mod metrics;
mod request;
mod routes;
mod server;

pub use board::Board;
pub use server::start;
