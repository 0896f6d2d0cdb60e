//! What a running guest can reach: the `log` import, bounded a call. Also carries the
//! meter and the timer that the engine consults while the guest runs. Nothing here
//! gives a guest a clock, a file or a connection.

use std::sync::Arc;

use crate::bindings::speed_layer::plugin::{host, types};
use crate::deadline::CallTimer;
use crate::meter::Meter;
use crate::printable::printable;
use crate::{Limits, PluginId, Usage};

const MESSAGE_BYTES_MAX: usize = 4 << 10;
const MESSAGES_PER_CALL_MAX: u32 = 100;

/// The data of one instance's store.
pub(crate) struct GuestHost {
    plugin: Arc<PluginId>,
    pub meter: Meter,
    pub timer: CallTimer,
    messages: u32,
}

impl GuestHost {
    pub fn new(plugin: Arc<PluginId>, limits: &Limits, usage: Arc<Usage>) -> Self {
        Self { plugin, meter: Meter::new(limits, usage), timer: CallTimer::of(limits, 1.0), messages: 0 }
    }

    /// Starts the call's timer, with this many times the time of a call, and its allowance of messages.
    pub fn begin_call(&mut self, limits: &Limits, times: f64) {
        self.timer = CallTimer::of(limits, times);
        self.messages = 0;
        self.meter.take_refused();
    }

    /// Says how many messages the call lost to the limit, if it did.
    pub fn end_call(&mut self) {
        let lost = self.messages.saturating_sub(MESSAGES_PER_CALL_MAX);
        if lost > 0 {
            tracing::warn!(
                plugin = %self.plugin.name,
                digest = %self.plugin.digest.short(),
                lost,
                "the plugin logged more than {MESSAGES_PER_CALL_MAX} messages in one call; the rest were dropped"
            );
        }
    }
}

macro_rules! log_at {
    ($level:ident, $plugin:expr, $message:expr) => {
        tracing::$level!(
            target: "plugin",
            plugin = %$plugin.name,
            digest = %$plugin.digest.short(),
            "{}",
            $message
        )
    };
}

impl host::Host for GuestHost {
    fn log(&mut self, level: host::Level, message: String) {
        self.messages = self.messages.saturating_add(1);
        if self.messages > MESSAGES_PER_CALL_MAX {
            return;
        }
        let message = printable(&message, MESSAGE_BYTES_MAX);
        match level {
            host::Level::Debug => log_at!(debug, self.plugin, message),
            host::Level::Info => log_at!(info, self.plugin, message),
            host::Level::Warn => log_at!(warn, self.plugin, message),
            host::Level::Error => log_at!(error, self.plugin, message),
        }
    }
}

impl types::Host for GuestHost {}
