//! What a running job tells over HTTP: its metrics for Prometheus, whether it lives and is ready, as JSON where it
//! stands, and the dashboard, a page that shows all of it. `server` has the connections, `request` and `answer` what goes
//! over them, `door` whom is listened to, `routes` the paths; `board` is where the job leaves word and most answers are made
//! from, by `metrics` and `api`. What its tables hold is `asked` of another process, by `tables`. `page` has the page's files.
//!
//! No thread of the job ever waits for a reader. One thing can be changed, by whoever has the token: `swap`.

mod answer;
mod api;
mod asked;
mod board;
mod door;
mod metrics;
mod page;
mod request;
mod routes;
mod server;
mod swap;
mod tables;

pub use board::Board;
pub use server::start;
