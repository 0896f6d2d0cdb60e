//! Transactions and the broker's clock: what was aborted never comes out, control records hold nobody up,
//! and on a topic with LogAppendTime the future begins at the record's own timestamp.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use speed_layer_tests::job::{DAILY, Job};
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS, LIMIT};

/// A producer that writes in transactions.
struct Writer {
    producer: BaseProducer,
    topic: &'static str,
}

impl Writer {
    fn new(topic: &'static str) -> Self {
        let mut config = kafka::shared().client();
        config.set("transactional.id", topic).set("queue.buffering.max.messages", "200000");
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(LIMIT).expect("the broker takes transactions");
        Self { producer, topic }
    }

    fn begin(&self, records: &[Placed]) {
        self.producer.begin_transaction().expect("none is open");
        for record in records {
            let message = BaseRecord::<[u8], [u8]>::to(self.topic).partition(record.partition);
            self.producer.send(message.payload(&record.value)).map_err(|(why, _)| why).expect("room for it");
        }
        self.producer.flush(LIMIT).expect("all acknowledged");
    }

    fn commit(&self, records: &[Placed]) {
        self.begin(records);
        self.producer.commit_transaction(LIMIT).expect("it is open");
    }

    fn abort(&self, records: &[Placed]) {
        self.begin(records);
        self.producer.abort_transaction(LIMIT).expect("it is open");
    }
}

fn records(seed: u64) -> Vec<Placed> {
    Plan { rows: 6_000, days: 6, seed, ..Plan::default() }.records(2, Spread::InTurn)
}

#[test]
fn of_thirty_percent_aborted_records_none_comes_out_and_control_records_end_no_run() {
    let writer = Writer::new("transactions");
    kafka::shared().create_topic("transactions", 2, &[]).expect("a new name");
    let records = records(1);
    let mut kept = Vec::new();
    for (number, part) in records.chunks(300).enumerate() {
        if number % 10 < 3 {
            writer.abort(part);
        } else {
            writer.commit(part);
            kept.extend_from_slice(part);
        }
    }
    assert_eq!(records.len() - kept.len(), records.len() * 3 / 10);
    let ends = [0, 1].map(|number| kafka::shared().end_offset("transactions", number).expect("it is there"));
    assert_eq!(
        ends.iter().sum::<i64>() as usize,
        records.len() + 2 * 20,
        "all are in the log, and a marker each"
    );
    let job = Job::new(kafka::shared(), "transactions").set("--max-records-per-trigger", 1_000);
    let summary = job.summary();
    assert_eq!(summary["records_in"], kept.len(), "{summary}");
    assert_eq!(job.summary()["records_in"], 0, "the end is behind the control records");
    let expected = closed(ohlcv(&kept, DAY_MS, "daily"), DAY_MS, watermark_ms(&kept, HOUR_MS));
    assert_equal(&expected, &job.table());
}

#[test]
fn an_open_transaction_ends_a_bounded_run_before_it_and_is_read_by_the_next() {
    let writer = Writer::new("transactions-open");
    kafka::shared().create_topic("transactions-open", 2, &[]).expect("a new name");
    let records = records(3);
    let (first, rest) = records.split_at(4_000);
    writer.commit(first);
    writer.begin(rest);
    let job = Job::new(kafka::shared(), "transactions-open");
    assert_eq!(job.summary()["records_in"], first.len());
    writer.producer.commit_transaction(LIMIT).expect("it is open");
    assert_eq!(job.summary()["records_in"], rest.len());
    let expected = closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms(&records, HOUR_MS));
    assert_equal(&expected, &job.table());
}

#[test]
fn a_topic_of_aborted_transactions_alone_is_read_to_its_end() {
    let writer = Writer::new("transactions-none");
    kafka::shared().create_topic("transactions-none", 2, &[]).expect("a new name");
    writer.abort(&records(4));
    let summary = Job::new(kafka::shared(), "transactions-none").summary();
    assert_eq!((&summary["records_in"], &summary["windows_out"]), (&0.into(), &0.into()));
}

/// A tick three seconds ahead, read when that time has come: only the broker's timestamp still tells.
#[test]
fn with_log_append_time_the_future_begins_at_the_records_own_timestamp() {
    let broker = kafka::shared();
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let ahead_ms = now_ms() + 3_000;
    let mut record = Plan { rows: 1, ..Plan::default() }.records(1, Spread::InTurn).remove(0);
    let tick = record.tick.as_mut().expect("a good one");
    tick.event_time_ms = ahead_ms;
    record.value = tick.to_json().into_bytes();
    let topics = [("append-time", "LogAppendTime", (1, 0)), ("create-time", "CreateTime", (0, 1))];
    for (topic, kind, _) in topics {
        broker.create_topic(topic, 1, &[("message.timestamp.type", kind)]).expect("a new name");
        broker.append(topic, std::slice::from_ref(&record));
    }
    assert!(now_ms() < ahead_ms - 1_000, "the broker was too slow for this test");
    thread::sleep(Duration::from_millis((ahead_ms - now_ms()).unsigned_abs()));
    for (topic, _, (dead, aggregated)) in topics {
        let job = Job::new(broker, topic).pipeline(&format!("{DAILY}[time]\nmax_future_skew = \"1s\"\n"));
        let summary = job.summary();
        let found = (&summary["records_dead_lettered"], &summary["rows_aggregated"]);
        assert_eq!(found, (&dead.into(), &aggregated.into()), "{topic}: {summary}");
        let letters = job.dead_letters();
        assert!(letters.iter().all(|letter| letter.kind == "beyond-max-future-skew"), "{letters:?}");
    }
}
