//! From a user's properties to librdkafka's: what the commit protocol fixes, what is
//! set for speed and may be overridden, what is ours alone, and what is secret. It opens
//! no connection.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::error::ConfigError;

/// Messages that may wait in librdkafka's queues, over all partitions: each costs
/// about a kilobyte beside its payload.
pub const QUEUED_MESSAGES_MAX: usize = 30_000;

/// Of our own: the command that prints a token for SASL OAUTHBEARER.
const TOKEN_COMMAND: &str = "sasl.oauthbearer.token.command";

const NO_LOSS: &str = "positions are kept in the checkpoint and a gap must be an error, never a jump";

/// Properties whose values correctness rests on, and why a user may not set them.
const FIXED: &[(&str, &str)] = &[
    ("auto.offset.reset", NO_LOSS),
    ("enable.auto.commit", NO_LOSS),
    ("enable.auto.offset.store", NO_LOSS),
    ("check.crcs", "a damaged batch must be an error, never data"),
    ("isolation.level", "records of an aborted transaction are not part of the stream"),
    ("enable.partition.eof", "the end of a partition decides when a bounded run is done"),
    ("allow.auto.create.topics", "reading must never make a topic"),
    ("group.id", "it is speed-layer-<job>, and is used for monitoring only"),
    ("bootstrap.servers", "the brokers are given by --brokers (source.kafka.brokers)"),
    ("metadata.broker.list", "the brokers are given by --brokers (source.kafka.brokers)"),
    ("acks", "a record counts as produced only when all replicas have it"),
    ("request.required.acks", "a record counts as produced only when all replicas have it"),
    ("enable.idempotence", "a retry must not write a record twice"),
    ("transactional.id", "it is named after the job, so that a second process is told from the first"),
    ("log.queue", "librdkafka's log lines go to this program's log"),
];

const CONSUMER_FIXED: &[(&str, &str)] = &[
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("check.crcs", "true"),
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
    ("allow.auto.create.topics", "false"),
];

/// Chosen by measurement; see `source` for what bounds the queues.
const CONSUMER_DEFAULTS: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.wait.max.ms", "20"),
    ("fetch.error.backoff.ms", "100"),
    ("max.partition.fetch.bytes", "524288"),
    ("fetch.max.bytes", "2097152"),
    ("message.max.bytes", "1000000"),
    ("socket.nagle.disable", "true"),
    ("reconnect.backoff.max.ms", "2000"),
];

const FACTS_DEFAULTS: &[(&str, &str)] = &[("reconnect.backoff.max.ms", "2000")];

const PRODUCER_FIXED: &[(&str, &str)] = &[("acks", "all"), ("enable.idempotence", "true")];

const PRODUCER_DEFAULTS: &[(&str, &str)] = &[
    ("compression.type", "gzip"),
    ("linger.ms", "20"),
    ("batch.num.messages", "10000"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
];

/// For records that are awaited one by one: a record is on its way once at a time, in order,
/// and given up when its time is up.
const AWAITED_DEFAULTS: &[(&str, &str)] = &[
    ("compression.type", "gzip"),
    ("linger.ms", "5"),
    ("retries", "3"),
    ("max.in.flight.requests.per.connection", "1"),
    ("message.timeout.ms", "10000"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// A record of any size is the topic's to refuse; what waits is bounded by what the caller
/// gives at once.
const TRANSACTION_DEFAULTS: &[(&str, &str)] = &[
    ("compression.type", "gzip"),
    ("linger.ms", "5"),
    ("message.max.bytes", "1000000000"),
    ("queue.buffering.max.messages", "1000000"),
    ("queue.buffering.max.kbytes", "2097151"),
];

/// Where Kafka is and how to speak to it: the brokers and the user's properties.
///
/// `Debug` never shows a secret.
#[derive(Clone)]
pub struct Connection {
    brokers: String,
    properties: BTreeMap<String, String>,
    token_command: Option<String>,
}

impl Connection {
    /// Checks the properties by name and value without connecting.
    ///
    /// # Errors
    /// A property that is fixed, that librdkafka does not know or whose value it refuses.
    pub fn new(
        brokers: &str,
        properties: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut properties: BTreeMap<String, String> = properties.into_iter().collect();
        let token_command = properties.remove(TOKEN_COMMAND);
        let connection = Self { brokers: brokers.to_owned(), properties, token_command };
        for name in connection.properties.keys() {
            refuse_fixed(name)?;
        }
        connection.refuse_no_token()?;
        connection.check_by_librdkafka()?;
        Ok(connection)
    }

    /// The address list as given, for messages.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// For questions only: no group, nothing consumed.
    pub(crate) fn for_facts(&self) -> ClientConfig {
        self.build(FACTS_DEFAULTS, CONSUMER_FIXED)
    }

    /// For one source whose records arrive in `queues` queues.
    pub(crate) fn for_source(&self, job: &str, queues: usize) -> ClientConfig {
        let mut config = self.build(CONSUMER_DEFAULTS, CONSUMER_FIXED);
        if !self.properties.contains_key("queued.min.messages") {
            config.set("queued.min.messages", (QUEUED_MESSAGES_MAX / queues.max(1)).max(1).to_string());
        }
        config.set("group.id", format!("speed-layer-{job}"));
        config
    }

    pub(crate) fn for_producer(&self) -> ClientConfig {
        self.build(PRODUCER_DEFAULTS, PRODUCER_FIXED)
    }

    /// For records that are awaited one by one, and after how long one is given up.
    pub(crate) fn for_awaited(&self) -> (ClientConfig, Duration) {
        let mut config = self.build(AWAITED_DEFAULTS, PRODUCER_FIXED);
        if let Some(given) = self.properties.get("delivery.timeout.ms") {
            config.set("message.timeout.ms", given);
        }
        config.remove("delivery.timeout.ms");
        let timeout_ms = config.get("message.timeout.ms").and_then(|text| text.parse().ok()).unwrap_or(0);
        (config, Duration::from_millis(timeout_ms))
    }

    pub(crate) fn token_command(&self) -> Option<&str> {
        self.token_command.as_deref()
    }

    /// Whether clients ask for a token before they can log in.
    pub(crate) fn wants_token(&self) -> bool {
        let is_on = |name: &str| self.properties.get(name).is_some_and(|value| value == "true");
        let given = |name: &str| self.properties.get(name).map(|value| value.to_ascii_uppercase());
        let mechanism = given("sasl.mechanism").or_else(|| given("sasl.mechanisms"));
        given("security.protocol").is_some_and(|protocol| protocol.starts_with("SASL"))
            && mechanism.is_some_and(|mechanism| mechanism == "OAUTHBEARER")
            && !is_on("enable.sasl.oauthbearer.unsecure.jwt")
    }

    fn refuse_no_token(&self) -> Result<(), ConfigError> {
        match &self.token_command {
            None if self.wants_token() => Err(ConfigError::NoTokenCommand { property: TOKEN_COMMAND }),
            _ => Ok(()),
        }
    }

    /// For transactions under this name.
    pub(crate) fn for_transactions(&self, id: &str) -> ClientConfig {
        let mut config = self.build(TRANSACTION_DEFAULTS, PRODUCER_FIXED);
        config.set("transactional.id", id);
        config
    }

    pub(crate) fn redactor(&self) -> Redactor {
        let secrets = self.properties.iter().filter(|(name, value)| is_secret(name) && !value.is_empty());
        Redactor { secrets: secrets.map(|(_, value)| value.clone()).collect() }
    }

    fn build(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", "speed-layer");
        let given = self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in defaults.iter().copied().chain(given).chain(fixed.iter().copied()) {
            config.set(name, value);
        }
        config
    }

    fn check_by_librdkafka(&self) -> Result<(), ConfigError> {
        match self.for_facts().create_native_config() {
            Ok(_) => Ok(()),
            Err(KafkaError::ClientConfig(_, reason, property, _)) => {
                Err(ConfigError::Refused { property, reason: self.redactor().redact(&reason) })
            }
            Err(other) => Err(ConfigError::Client { reason: self.redactor().redact(&other.to_string()) }),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&String, &String)| {
            (name.clone(), if is_secret(name) { "***".to_owned() } else { value.clone() })
        };
        let properties: BTreeMap<_, _> = self.properties.iter().map(shown).collect();
        f.debug_struct("Connection")
            .field("brokers", &self.brokers)
            .field("properties", &properties)
            .finish_non_exhaustive()
    }
}

fn refuse_fixed(name: &str) -> Result<(), ConfigError> {
    match FIXED.iter().find(|(fixed, _)| *fixed == name) {
        Some((_, why)) => Err(ConfigError::Fixed { property: name.to_owned(), why }),
        None => Ok(()),
    }
}

fn is_secret(name: &str) -> bool {
    ["password", "secret", "key.pem", "oauthbearer.config", "assertion.private"]
        .iter()
        .any(|part| name.contains(part))
}

/// Takes the values of secret properties out of any text that librdkafka made.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    pub(crate) fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(properties: &[(&str, &str)]) -> Result<Connection, ConfigError> {
        let owned = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Connection::new("localhost:1", owned)
    }

    #[test]
    fn fixed_properties_are_refused_by_name_with_the_reason() {
        for (name, why) in FIXED {
            let text = connection(&[(name, "x")]).expect_err(name).to_string();
            assert!(text.contains(name) && text.contains(why), "{text}");
        }
    }

    #[test]
    fn an_unknown_property_and_a_wrong_value_are_named() {
        for (name, value) in [("no.such.thing", "1"), ("fetch.wait.max.ms", "soon")] {
            let text = connection(&[(name, value)]).expect_err(name).to_string();
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn a_login_by_token_without_a_command_is_refused_by_name() {
        let login = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER")];
        let text = connection(&login).expect_err("no command").to_string();
        assert!(text.contains(TOKEN_COMMAND), "{text}");
        let with_command = connection(&[&login[..], &[(TOKEN_COMMAND, "print-token")]].concat());
        let shown = format!("{:?}", with_command.expect("librdkafka never sees ours"));
        assert!(!shown.contains("print-token"), "{shown}");
        connection(&[&login[..], &[("enable.sasl.oauthbearer.unsecure.jwt", "true")]].concat())
            .expect("librdkafka makes its own");
    }

    #[test]
    fn secrets_are_not_shown() {
        let connection =
            connection(&[("sasl.password", "hunter2"), ("sasl.username", "bob")]).expect("valid");
        let shown = format!("{connection:?} {}", connection.redactor().redact("login with hunter2 failed"));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("bob"), "{shown}");
    }

    #[test]
    fn the_queue_bound_is_shared_out_and_may_be_overridden() {
        let config = connection(&[]).expect("valid").for_source("daily", 3);
        assert_eq!(config.get("queued.min.messages"), Some("10000"));
        assert_eq!(config.get("group.id"), Some("speed-layer-daily"));
        let config = connection(&[("queued.min.messages", "7")]).expect("valid").for_source("daily", 3);
        assert_eq!(config.get("queued.min.messages"), Some("7"));
    }

    #[test]
    fn how_long_a_delivery_is_awaited_is_ours_or_the_users_by_either_name() {
        let cases: [(&[(&str, &str)], u64); 3] = [
            (&[], 10_000),
            (&[("message.timeout.ms", "700")], 700),
            (&[("delivery.timeout.ms", "900")], 900),
        ];
        for (properties, expected_ms) in cases {
            let (config, timeout) = connection(properties).expect("valid").for_awaited();
            assert_eq!(timeout, Duration::from_millis(expected_ms), "{properties:?}");
            assert_eq!(config.get("message.timeout.ms"), Some(expected_ms.to_string().as_str()));
        }
    }

    #[test]
    fn every_config_we_build_is_accepted_by_librdkafka() {
        let connection = connection(&[]).expect("valid");
        let both = [connection.for_facts(), connection.for_source("j", 2)];
        let writers =
            [connection.for_producer(), connection.for_transactions("j"), connection.for_awaited().0];
        for config in both.into_iter().chain(writers) {
            config.create_native_config().expect("known properties");
        }
    }
}
