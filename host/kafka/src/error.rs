//! The errors of this crate, and which of librdkafka's codes ends a run. Every text
//! says what happened, to which thing, and what to do next.

use rdkafka::types::RDKafkaErrorCode;
use thiserror::Error;

/// A property that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("the Kafka property {property} is fixed and cannot be set: {why}; remove it")]
    Fixed { property: String, why: &'static str },
    #[error("the Kafka property {property} was refused by librdkafka: {reason}; correct it or remove it")]
    Refused { property: String, reason: String },
    #[error(
        "a login by OAUTHBEARER needs a token: set the Kafka property {property} to a command that prints one"
    )]
    NoTokenCommand { property: &'static str },
    #[error("the Kafka client could not be made from its properties: {reason}; correct the properties")]
    Client { reason: String },
}

/// A question to the brokers that has no usable answer.
#[derive(Debug, Error)]
pub enum BrokerError {
    #[error(
        "no Kafka broker at {brokers} answered within {timeout_ms} ms ({reason}); check the address and that \
         the broker is running and reachable from here"
    )]
    Unreachable { brokers: String, timeout_ms: u64, reason: String },
    #[error(
        "the Kafka brokers at {brokers} refused the login or the TLS connection ({reason}); check \
         security.protocol and the sasl.* and ssl.* properties"
    )]
    Authentication { brokers: String, reason: String },
    #[error(
        "the topic {topic} does not exist at {brokers}; create it, correct its name, or wait for it with \
         --wait-for-topic"
    )]
    TopicMissing { topic: String, brokers: String },
    #[error("waiting for the topic {topic} at {brokers} was given up because the program is to stop")]
    Stopped { topic: String, brokers: String },
    #[error(
        "the brokers at {brokers} do not let this user use the topic {topic} ({reason}); grant the access"
    )]
    NotAuthorized { topic: String, brokers: String, reason: String },
    #[error(
        "{what} of the topic {topic} failed at {brokers} ({reason}); try again, or look at the broker's log"
    )]
    Request {
        what: &'static str,
        topic: String,
        brokers: String,
        /// The cluster is about to change: asked again it may well answer.
        may_pass: bool,
        reason: String,
    },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why a source cannot go on. Passing faults are logged and retried, never returned.
#[derive(Debug, Error)]
pub enum SourceError {
    #[error(
        "offset {offset} of partition {partition} of the topic {topic} is no longer in the log ({reason}); \
         records were deleted before they were read: start again with --on-data-loss skip to go on after the \
         gap, and lengthen the topic's retention"
    )]
    OffsetOutOfRange { topic: String, partition: i32, offset: i64, reason: String },
    #[error(
        "the log of partition {partition} of the topic {topic} was cut back to before offset {offset}, where the \
         job stands ({reason}), as after an unclean leader election: records that were read are no longer there, \
         others may be in their place. Go on from where it was cut by --on-data-loss skip, or use a new checkpoint"
    )]
    LogTruncated {
        topic: String,
        partition: i32,
        offset: i64,
        /// The first offset that is not what it was, where the broker told it.
        cut_to: Option<i64>,
        reason: String,
    },
    #[error(
        "partition {partition} of the topic {topic} is gone ({reason}); if the topic was deleted on purpose, \
         use a new checkpoint"
    )]
    TopicGone { topic: String, partition: i32, reason: String },
    #[error(
        "the batch at offset {offset} of partition {partition} of the topic {topic} is damaged ({reason}); \
         nothing after it was read: check the broker's disk, and repair or delete the batch there"
    )]
    Corrupt { topic: String, partition: i32, offset: i64, reason: String },
    #[error(
        "the message at offset {offset} of partition {partition} of the topic {topic} is too large to fetch \
         ({reason}); raise receive.message.max.bytes and fetch.max.bytes"
    )]
    TooLarge { topic: String, partition: i32, offset: i64, reason: String },
    /// librdkafka drops the whole answer and does not say which partition's it was.
    #[error(
        "an answer of the brokers with records of the topic {topic} is larger than this client takes ({reason}): a \
         message at or after the job's next offsets is that large. Nothing of it was read; raise \
         receive.message.max.bytes with --kafka or in [source.kafka] properties, or delete the message"
    )]
    AnswerTooLarge { topic: String, reason: String },
    #[error("reading the topic {topic} failed for good ({reason}); start again")]
    Client { topic: String, reason: String },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl SourceError {
    /// The partition whose records are gone, where the error is about that; the others can
    /// still be read, and this one again once it has been given another start.
    pub fn lost_partition(&self) -> Option<i32> {
        match self {
            Self::OffsetOutOfRange { partition, .. }
            | Self::LogTruncated { partition, .. }
            | Self::TopicGone { partition, .. } => Some(*partition).filter(|number| *number >= 0),
            _ => None,
        }
    }
}

/// A record that could not be handed over, or was not delivered.
#[derive(Debug, Error)]
pub enum ProduceError {
    #[error("the producer for the topic {topic} could not be made ({reason}); correct the Kafka properties")]
    Client { topic: String, reason: String },
    #[error(
        "the topic {topic} is not there, and the brokers do not make it ({reason}); create it or correct its name"
    )]
    NoTopic { topic: String, reason: String },
    #[error("a record of {bytes} bytes was refused for the topic {topic} ({reason}); correct the record")]
    Refused { topic: String, bytes: usize, reason: String },
    #[error(
        "the queue of records for the topic {topic} stayed full for {timeout_ms} ms ({reason}); check that its \
         brokers are running"
    )]
    Stuck { topic: String, timeout_ms: u64, reason: String },
    #[error(
        "{failed} of {produced} records were not delivered to the topic {topic}; the first one because of: \
         {reason}"
    )]
    Undelivered { topic: String, failed: u64, produced: u64, reason: String },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A transaction that did not come about, or of which that is not known.
#[derive(Debug, Error)]
pub enum TransactionError {
    #[error(
        "a producer with the transactional id {id} could not be made ({reason}); correct the Kafka properties"
    )]
    Client { id: String, reason: String },
    #[error(
        "another process writes as {id} now, so that this one may not any more: see that only one of them runs; \
         what this one had not committed is not written"
    )]
    Fenced { id: String },
    #[error(
        "the brokers do not let this user write transactions as {id} ({reason}); grant Write and Describe on that \
         transactional id, and Write on the topics"
    )]
    NotAuthorized { id: String, reason: String },
    #[error(
        "a record of {bytes} bytes was refused for the topic {topic} ({reason}), and nothing of its transaction is \
         written; check that the topic takes such records"
    )]
    Refused { topic: String, bytes: usize, reason: String },
    #[error(
        "{what} a transaction as {id} failed ({reason}), and nothing of it is written; check that the brokers run and \
         that the topics are there and take such records, then start again"
    )]
    Failed { id: String, what: &'static str, reason: String },
    #[error(
        "whether a transaction as {id} is committed is not known ({reason}); nothing is lost or doubled: the next \
         start settles it"
    )]
    InDoubt { id: String, reason: String },
}

/// Where in the stream an error arose.
pub(crate) struct Place<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
}

/// The error that ends the run, or `None` for one that librdkafka retries by itself.
pub(crate) fn fatal_for_source(code: RDKafkaErrorCode, place: &Place, reason: String) -> Option<SourceError> {
    use RDKafkaErrorCode as Code;
    let Place { partition, offset, .. } = *place;
    let topic = place.topic.to_owned();
    match code {
        // librdkafka gives a log that was cut back the same code; only its words tell.
        Code::AutoOffsetReset | Code::OffsetOutOfRange if !is_truncation(&reason) => {
            Some(SourceError::OffsetOutOfRange { topic, partition, offset, reason })
        }
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => {
            let cut_to = end_offset_in(&reason);
            Some(SourceError::LogTruncated { topic, partition, offset, cut_to, reason })
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::InvalidTopic => {
            Some(SourceError::TopicGone { topic, partition, reason })
        }
        Code::BadMessage if reason.contains("increase receive.message.max.bytes") => {
            Some(SourceError::AnswerTooLarge { topic, reason })
        }
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage => {
            Some(SourceError::Corrupt { topic, partition, offset, reason })
        }
        Code::MessageSizeTooLarge => Some(SourceError::TooLarge { topic, partition, offset, reason }),
        Code::Fatal => Some(SourceError::Client { topic, reason }),
        _ => None,
    }
}

fn is_truncation(reason: &str) -> bool {
    reason.contains("log truncation") || reason.contains("No epoch found")
}

/// The `broker end offset is N` of librdkafka's account of a truncation.
fn end_offset_in(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once("end offset is ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Faults of the connection, not of a request: they pass when the brokers are back, or let
/// this user in again.
pub(crate) fn keeps_out(code: RDKafkaErrorCode) -> bool {
    is_of_connection(code) || is_authentication(code) || code == RDKafkaErrorCode::SSL
}

/// No broker can be reached.
pub(crate) fn is_of_connection(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut
    )
}

/// Answers of a cluster that is electing, starting or moving something.
pub(crate) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable
            | Code::BrokerNotAvailable
            | Code::NotController
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::KafkaStorageError
            | Code::OffsetNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::PreferredLeaderNotAvailable
            | Code::ThrottlingQuotaExceeded
    )
}

/// Whether the broker turned the login away.
pub(crate) fn is_authentication(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_retries_by_itself_does_not_end_the_run() {
        use RDKafkaErrorCode as Code;
        let place = Place { topic: "t", partition: 3, offset: 42 };
        let ends = |code| fatal_for_source(code, &place, "why".to_owned()).is_some();
        for code in [Code::AutoOffsetReset, Code::BadMessage, Code::UnknownTopic, Code::MessageSizeTooLarge] {
            assert!(ends(code), "{code:?}");
        }
        for code in [
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::NotLeaderForPartition,
            Code::Authentication,
            Code::TopicAuthorizationFailed,
        ] {
            assert!(!ends(code), "{code:?}");
        }
    }

    #[test]
    fn a_log_that_was_cut_back_is_told_from_one_that_has_moved_on() {
        let place = Place { topic: "ticks", partition: 3, offset: 42 };
        let cut = |reason: &str| match fatal_for_source(
            RDKafkaErrorCode::AutoOffsetReset,
            &place,
            reason.to_owned(),
        ) {
            Some(SourceError::LogTruncated { cut_to, .. }) => Some(cut_to),
            _ => None,
        };
        let told =
            "Partition log truncation detected at offset 42 (leader epoch 1): broker end offset is 30 (";
        assert_eq!(cut(told), Some(Some(30)));
        assert_eq!(cut("No epoch found less or equal to 3: broker end offset is -1"), Some(None));
        assert_eq!(cut("fetch failed due to requested offset not available on the broker"), None);
    }

    #[test]
    fn an_error_names_topic_partition_offset_and_a_way_out() {
        let place = Place { topic: "ticks", partition: 3, offset: 42 };
        let error = fatal_for_source(RDKafkaErrorCode::AutoOffsetReset, &place, "gone".to_owned());
        let text = error.expect("fatal").to_string();
        for part in ["ticks", "partition 3", "offset 42", "gone", "--on-data-loss skip"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
