//! Where logs go: stderr, for people or as JSON lines; stdout is for results.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for the process.
///
/// # Errors
/// When `filter` is no filter.
pub fn start(filter: &str, json: bool) -> Result<(), tracing_subscriber::filter::ParseError> {
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(filter)?).with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder.with_ansi(wants_colour()).with_target(false).init();
    }
    Ok(())
}

fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal()
}
