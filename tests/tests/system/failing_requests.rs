//! A pretended cluster whose every twentieth answer is an error: what comes out is what the records give.
//! The errors are those that pass; what they are to be is drawn from a seed.

use fastrand::Rng;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use speed_layer_tests::job::{Job, LIMIT};
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const TOPIC: &str = "failing";
/// Requests of each kind; more than any run of these makes.
const REQUESTS: usize = 20_000;

const KINDS: [RDKafkaApiKey; 3] = [RDKafkaApiKey::Fetch, RDKafkaApiKey::Metadata, RDKafkaApiKey::ListOffsets];

/// What a cluster says that is busy with itself; the last one breaks the connection.
const PASSING: [RDKafkaRespErr; 5] = [
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
];

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn write(cluster: &Cluster, records: &[Placed]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("compression.type", "gzip");
    let producer: BaseProducer = config.create().expect("a producer");
    for record in records {
        let message = BaseRecord::<[u8], [u8]>::to(TOPIC).partition(record.partition);
        producer.send(message.payload(&record.value)).map_err(|(why, _)| why).expect("room for it");
    }
    producer.flush(LIMIT).expect("all acknowledged");
}

/// Has one of twenty requests of each kind fail from now on.
fn fail_some(cluster: &Cluster, seed: u64) {
    let mut random = Rng::with_seed(seed);
    for kind in KINDS {
        let mut answer = |_| match random.usize(..20) {
            0 => PASSING[random.usize(..PASSING.len())],
            _ => RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
        };
        let answers: Vec<_> = (0..REQUESTS).map(&mut answer).collect();
        cluster.clear_request_errors(kind);
        cluster.request_errors(kind, &answers);
    }
}

#[test]
fn errors_on_one_of_twenty_requests_change_no_row() {
    for seed in [1, 2, 3] {
        let records =
            Plan { rows: 20_000, jitter_ms: HOUR_MS / 2, bad_per_million: 500, seed, ..Plan::default() };
        let records = records.records(4, Spread::InTurn);
        let (first, rest) = records.split_at(15_000);
        let cluster = MockCluster::new(2).expect("ports are free");
        cluster.create_topic(TOPIC, 4, 2).expect("a new name");
        write(&cluster, first);
        fail_some(&cluster, seed);
        // One batch a fetch, so that there are many.
        let job = Job::at(&cluster.bootstrap_servers(), TOPIC)
            .set("--metadata-refresh", "50ms")
            .set("--max-records-per-trigger", 1_000)
            .and("--kafka", "max.partition.fetch.bytes=1")
            .and("--kafka", "queued.min.messages=1");
        assert_eq!(job.summary()["records_in"], first.len(), "seed {seed}");
        KINDS.iter().for_each(|kind| cluster.clear_request_errors(*kind));
        write(&cluster, rest);
        fail_some(&cluster, seed + 100);
        assert_eq!(job.summary()["records_in"], rest.len(), "seed {seed}");
        let expected = closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms(&records, HOUR_MS));
        assert_equal(&expected, &job.table());
    }
}
