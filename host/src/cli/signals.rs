//! SIGINT and SIGTERM: the first one asks a command to end in order, the second ends the
//! process.

use std::thread;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::info;

use crate::job::JobHandle;

/// `asked` is called with each signal; when it says no, the process was to end before, and
/// ends now.
///
/// # Errors
/// Signals cannot be caught, or no thread be started.
pub fn on_signals(mut asked: impl FnMut(i32) -> bool + Send + 'static) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals cannot be caught")?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if !asked(signal) {
                    signal_hook::low_level::exit(128 + signal);
                }
            }
        })
        .context("a thread for signals cannot be started")?;
    Ok(())
}

/// The first signal asks the job to end, the second ends the process. `then` is what follows the first, for the log.
///
/// # Errors
/// As [`on_signals`].
pub fn stop_on_signals(stop: JobHandle, then: &'static str) -> anyhow::Result<()> {
    on_signals(move |signal| {
        if stop.is_asked() {
            return false;
        }
        info!(signal, "asked to stop; {then}");
        stop.stop();
        true
    })
}
