//! The metrics of a job in the text format of Prometheus. docs/metrics.md has each of them in a table; `text` knows how
//! they are written, `stream`, `commits` and `plugins` which there are.

mod commits;
mod duration;
mod plugins;
mod stream;
mod text;

pub use commits::PHASES;
pub use duration::DurationHistogram;

use text::{Kind, Text};

use super::board::Board;
use crate::job::{Phase, rss_bytes};

/// Everything that there is to tell now.
pub fn text(board: &Board) -> String {
    let mut text = Text::default();
    let word = board.word();
    about(&mut text, board);
    stream::tell(&mut text, board, &word);
    commits::tell(&mut text, board, &word);
    plugins::tell(&mut text, board);
    text.into_string()
}

fn about(text: &mut Text, board: &Board) {
    text.family("build_info", Kind::Gauge, "Always 1; the labels say which program runs which job.");
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("job", &board.job), ("topic", &board.topic)];
    text.sample(&labels, 1);
    let help = "When this process began, seconds since 1970 UTC.";
    text.single("start_time_seconds", Kind::Gauge, help, seconds(board.began_ms));
    let is_ready = u8::from(board.handle.phase() == Phase::Running);
    text.single("ready", Kind::Gauge, "1 while the stream goes on, as /ready tells it.", is_ready);
    text.family("resident_memory_bytes", Kind::Gauge, "Memory that this process holds.");
    if let Some(bytes) = rss_bytes() {
        text.sample(&[], bytes);
    }
}

/// Milliseconds in the unit that metrics have.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
