//! Writing records in transactions: all records of one or none, each once, and under one
//! name by one process at a time. Which records belong together, and what is done about a
//! transaction whose end is not known, is the caller's business.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaError};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::Connection;
use crate::context::Context;
use crate::error::TransactionError;
use crate::producer::Reports;

/// A record of a transaction; everything is copied.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    /// `None`: chosen by the key's hash.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone, which is not the same as empty.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970 UTC; `None`: now.
    pub timestamp_ms: Option<i64>,
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// The one who writes transactions under a name. Once any of its calls has failed it is
/// of no use any more.
pub struct Transactions {
    client: BaseProducer<Reports>,
    id: String,
    timeout: Duration,
}

impl Transactions {
    /// Takes the name `id` over: whoever had it before can commit nothing more, and what
    /// it left in doubt is settled when this returns. `timeout` bounds each call.
    ///
    /// # Errors
    /// [`TransactionError`]: no broker in time, or no access.
    pub fn take_over(connection: &Connection, id: &str, timeout: Duration) -> Result<Self, TransactionError> {
        let refused = |error: KafkaError| TransactionError::Client {
            id: id.to_owned(),
            reason: connection.redactor().redact(&error.to_string()),
        };
        let reports = Reports::new(Context::of(connection));
        let client: BaseProducer<Reports> =
            connection.for_transactions(id).create_with_context(reports).map_err(refused)?;
        let own = Self { client, id: id.to_owned(), timeout };
        own.client.context().await_token(timeout, || {
            own.client.poll(Duration::from_millis(10));
        });
        own.client.init_transactions(timeout).map_err(|error| own.error("beginning to write", &error))?;
        Ok(own)
    }

    /// Writes all of `records`, or none. When this returns `Ok`, readers of committed
    /// records see them.
    ///
    /// # Errors
    /// [`TransactionError`]. None of them is written then; after
    /// [`TransactionError::InDoubt`] all may be, and the next to take the name over can
    /// tell.
    pub fn write<'a>(
        &mut self,
        records: impl IntoIterator<Item = Outgoing<'a>>,
    ) -> Result<(), TransactionError> {
        self.client.begin_transaction().map_err(|error| self.error("beginning", &error))?;
        let written = self.send(records).and_then(|()| self.commit());
        if written.as_ref().is_err_and(|error| !matches!(error, TransactionError::InDoubt { .. })) {
            // What is not aborted now, the next to take the name over aborts.
            let _ = self.client.abort_transaction(self.timeout);
        }
        written
    }

    fn send<'a>(&self, records: impl IntoIterator<Item = Outgoing<'a>>) -> Result<(), TransactionError> {
        records.into_iter().try_for_each(|record| self.send_one(&record))
    }

    fn send_one(&self, record: &Outgoing<'_>) -> Result<(), TransactionError> {
        let began = Instant::now();
        loop {
            match self.client.send(message(record)).map_err(|(error, _)| error) {
                Ok(()) => break,
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))
                    if began.elapsed() < self.timeout =>
                {
                    self.client.poll(Duration::from_millis(20));
                }
                Err(error) => return Err(self.refused(record, &error)),
            }
        }
        self.client.poll(Duration::ZERO);
        Ok(())
    }

    /// A commit that was not answered may be asked for again until it is.
    fn commit(&self) -> Result<(), TransactionError> {
        let began = Instant::now();
        loop {
            match self.client.commit_transaction(self.timeout) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && began.elapsed() < self.timeout => {}
                Err(error) => return Err(self.error(COMMITTING, &error)),
            }
        }
    }

    fn refused(&self, record: &Outgoing<'_>, error: &KafkaError) -> TransactionError {
        if self.client.client().fatal_error().is_some() {
            return self.error("writing", error);
        }
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let reason = self.reason(&error.to_string());
        TransactionError::Refused { topic: record.topic.to_owned(), bytes, reason }
    }

    fn error(&self, what: &'static str, error: &KafkaError) -> TransactionError {
        use RDKafkaErrorCode as Code;
        let (id, reason) = (self.id.clone(), self.reason(&error.to_string()));
        // What ended the producer, where something has, says more than what that led to.
        let fatal = self.client.client().fatal_error().map(|(code, _)| code);
        match fatal.or_else(|| error.rdkafka_error_code()) {
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
                TransactionError::Fenced { id }
            }
            Some(Code::TransactionalIdAuthorizationFailed | Code::TopicAuthorizationFailed) => {
                TransactionError::NotAuthorized { id, reason }
            }
            _ if what == COMMITTING && !is_undone(error) => TransactionError::InDoubt { id, reason },
            _ => TransactionError::Failed { id, what, reason },
        }
    }

    /// What librdkafka told last says more than what the call itself tells.
    fn reason(&self, text: &str) -> String {
        let reports = self.client.context();
        let told = reports.first_failure().or_else(|| reports.last_error());
        told.map_or_else(|| reports.redact(text), |told| format!("{}: {told}", reports.redact(text)))
    }
}

const COMMITTING: &str = "committing";

/// Whether the broker has told that nothing of the transaction stays.
fn is_undone(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if RDKafkaError::txn_requires_abort(error))
}

fn message<'a>(record: &Outgoing<'a>) -> BaseRecord<'a, [u8], [u8]> {
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
        headers.insert(Header { key: name, value: Some(*value) })
    });
    let mut message = BaseRecord::to(record.topic).headers(headers);
    message.partition = record.partition;
    message.key = record.key;
    message.payload = record.value;
    message.timestamp = record.timestamp_ms;
    message
}
