//! Where logs go: stderr, for people or as JSON lines; stdout is for results.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;

/// Starts logging for the process.
///
/// # Errors
/// When `filter` is no filter.
pub fn start(filter: &str, json: bool) -> Result<(), tracing_subscriber::filter::ParseError> {
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(filter)?).with_writer(|| Lines);
    if json {
        builder.json().init();
    } else {
        builder.with_ansi(wants_colour()).with_target(false).init();
    }
    Ok(())
}

/// A line at the end of the terminal that the log's lines stay above.
static STATUS: OnceLock<ProgressBar> = OnceLock::new();

/// Gives the terminal's last line; there is one for the process.
pub fn share_terminal(style: ProgressStyle) -> ProgressBar {
    let line = || ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    STATUS.get_or_init(line).clone()
}

/// Writes something above the terminal's last line, where there is one.
pub fn above_status<T>(write: impl FnOnce() -> T) -> T {
    match STATUS.get() {
        Some(status) => status.suspend(write),
        None => write(),
    }
}

/// The log's lines on stderr.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        above_status(|| io::stderr().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal()
}
