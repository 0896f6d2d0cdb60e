//! What librdkafka calls back with: its log lines go to `tracing`, and the last error
//! is kept, because the call that fails later only says "timed out". Tokens are fetched
//! when it asks for one. Secrets are taken out of every text.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::{Connection, Redactor};
use crate::token;

/// An error as librdkafka told it, without secrets.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub code: RDKafkaErrorCode,
    pub reason: String,
}

pub(crate) struct Context {
    redactor: Redactor,
    last_error: Mutex<Option<Told>>,
    all_down: AtomicBool,
    token_command: Option<String>,
    /// A token is wanted, and none was asked for yet.
    awaits_token: AtomicBool,
}

impl Context {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self {
            redactor: connection.redactor(),
            last_error: Mutex::new(None),
            all_down: AtomicBool::new(false),
            token_command: connection.token_command().map(str::to_owned),
            awaits_token: AtomicBool::new(connection.wants_token()),
        }
    }

    /// Serves librdkafka's events until it has asked for its first token, if it wants one, or for
    /// so long. Before it has, no question to a broker is answered.
    pub(crate) fn await_token(&self, limit: Duration, serve_events: impl Fn()) {
        let began = Instant::now();
        while self.awaits_token.load(Ordering::Relaxed) && began.elapsed() < limit {
            serve_events();
        }
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    /// The last error that names a cause.
    pub(crate) fn last_error(&self) -> Option<Told> {
        self.lock().clone()
    }

    /// Whether librdkafka has told that no broker is connected since this was asked before.
    pub(crate) fn take_all_down(&self) -> bool {
        self.all_down.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Told>> {
        self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let token = token::fetch(self.token_command.as_deref());
        self.awaits_token.store(false, Ordering::Relaxed);
        let token = token.inspect_err(|error| tracing::warn!("no token for the Kafka brokers: {error}"))?;
        tracing::debug!(expires_ms = token.lifetime_ms, "a token for the Kafka brokers was fetched");
        Ok(token)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        let line = self.redactor.redact(line);
        match level {
            // Each client is given all of the user's properties, also those of the other kind.
            _ if facility == "CONFWARN" => tracing::debug!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, "{line}");
            }
            // The error itself comes by `error`; the log line repeats it at every retry.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{line}");
            }
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::debug!(target: "librdkafka", "{}", String::from_utf8_lossy(statistics));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let reason = self.redactor.redact(reason);
        tracing::debug!(target: "librdkafka", ?code, "{reason}");
        if code == RDKafkaErrorCode::AllBrokersDown {
            self.all_down.store(true, Ordering::Relaxed);
        } else {
            *self.lock() = Some(Told { code, reason });
        }
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!("the group offsets for monitoring were not committed: {error}");
        }
    }
}
