//! A source whose partitions change under it: some are added, some lose what was to be read
//! next and are read from another place, requests fail. No broker is real here; what a real
//! one does is tried with the whole program.

mod common;

use std::time::Instant;

use common::{LIMITS, PATIENCE, Stand, Values, collect, from_start, read_to_end};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use speed_layer_core::records::Records;
use speed_layer_kafka::source::SourceOptions;
use speed_layer_kafka::{Assignment, Connection, Feed, Message, PollLimits, Producer, Source, SourceError};

fn numbers(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Polls until a partition has told of a loss; what comes before it goes to `values`.
fn lose(feed: &mut Feed, values: &mut Values) -> SourceError {
    let (began, mut records) = (Instant::now(), Records::default());
    while began.elapsed() < PATIENCE {
        feed.poll(&mut records, &LIMITS).expect("no fault of the feed");
        collect(&records, values);
        if let Some(loss) = feed.take_losses().pop() {
            return loss;
        }
    }
    panic!("nothing was lost in time");
}

#[test]
fn a_partition_beyond_its_log_is_told_of_once_and_the_others_are_read_on() {
    let stand = Stand::new("short", 2);
    stand.produce_numbers(20, 2);
    let (_source, mut feeds) = stand.start(&[Assignment::open(0, 77), Assignment::open(1, 0)], 1);
    let mut values = Values::new();
    let error = lose(&mut feeds[0], &mut values);
    let SourceError::OffsetOutOfRange { topic, partition, offset, .. } = &error else { panic!("{error}") };
    assert_eq!((topic.as_str(), *partition, *offset), ("short", 0, 77), "{error}");
    assert_eq!(error.lost_partition(), Some(0));

    feeds[0].assign(&Assignment::open(0, 4)).expect("taken");
    for (partition, read) in read_to_end(&mut feeds, &LIMITS).expect("no fault") {
        values.entry(partition).or_default().extend(read);
    }
    assert_eq!(values[&0], numbers((8..20).step_by(2)));
    assert_eq!(values[&1], numbers((1..20).step_by(2)));
    assert!(feeds[0].take_losses().is_empty());
}

#[test]
fn a_partition_taken_on_later_is_read_from_its_beginning_beside_the_others() {
    for workers in [1, 2] {
        let stand = Stand::new("more", 4);
        stand.produce_numbers(400, 4);
        let (_source, mut feeds) = stand.start(&from_start(2), workers);
        let mut values = read_to_end(&mut feeds, &LIMITS).expect("no fault");
        for partition in [2, 3] {
            let feed = speed_layer_kafka::source::feed_of(partition, feeds.len());
            feeds[feed].assign(&Assignment::open(partition, 0)).expect("taken");
        }
        values.extend(read_to_end(&mut feeds, &LIMITS).expect("no fault"));
        for partition in 0..4 {
            assert_eq!(values[&partition], numbers((partition as usize..400).step_by(4)), "{partition}");
        }
    }
}

#[test]
fn a_partition_read_again_gives_nothing_of_what_was_on_its_way() {
    let stand = Stand::new("again", 2);
    stand.produce_numbers(2_000, 2);
    let (_source, mut feeds) = stand.start(&from_start(2), 1);
    let (mut values, mut records) = (Values::new(), Records::default());
    let began = Instant::now();
    while values.get(&0).is_none_or(|read| read.len() < 10) {
        assert!(began.elapsed() < PATIENCE, "nothing came in time");
        feeds[0].poll(&mut records, &PollLimits { rows_max: 3, ..LIMITS }).expect("no fault");
        collect(&records, &mut values);
    }
    // Back, so that what is in hand lies beyond the new place.
    feeds[0].assign(&Assignment::open(0, 2)).expect("taken");
    let before = values[&0].len();
    for (partition, read) in read_to_end(&mut feeds, &LIMITS).expect("no fault") {
        values.entry(partition).or_default().extend(read);
    }
    assert_eq!(values[&0][before..], numbers((4..2_000).step_by(2)), "from the new place, once");
    assert_eq!(values[&1], numbers((1..2_000).step_by(2)), "the other one is not disturbed");
}

/// A cluster of two brokers that others than `Stand` may do harm to.
struct Faulty {
    cluster: MockCluster<'static, DefaultProducerContext>,
    connection: Connection,
}

impl Faulty {
    fn new() -> Self {
        let cluster = MockCluster::new(2).expect("ports are free");
        cluster.create_topic("faulty", 1, 2).expect("a new name");
        let connection = Connection::new(&cluster.bootstrap_servers(), []).expect("valid");
        Self { cluster, connection }
    }

    fn produce(&self, range: std::ops::Range<usize>) {
        let mut producer = Producer::new(&self.connection, "faulty", PATIENCE).expect("a client");
        for text in numbers(range) {
            let value = Some(text.as_bytes());
            producer.produce(&Message { value, ..Message::default() }).expect("room in the queue");
        }
        producer.finish().expect("all delivered");
    }

    fn start(&self, assignment: Assignment) -> (Source, Vec<Feed>) {
        let options = SourceOptions { workers: 1, wants_headers: false };
        Source::start(&self.connection, "test", "faulty", &[assignment], options).expect("a client")
    }
}

/// As after an unclean election: the log is as long as the position, but from offset 30 on the
/// records were written under another leader than those that had been read. The pretended
/// cluster cannot cut a log under a reader, so the reader comes later.
#[test]
fn a_log_that_was_cut_back_and_written_anew_is_told_from_its_leaders_epochs() {
    let faulty = Faulty::new();
    faulty.cluster.partition_leader("faulty", 0, Some(1)).expect("there is such a broker");
    faulty.produce(0..30);
    faulty.cluster.partition_leader("faulty", 0, Some(2)).expect("there is such a broker");
    faulty.produce(30..60);
    let (_source, mut feeds) = faulty.start(Assignment::open(0, 0));
    let read = read_to_end(&mut feeds, &LIMITS).expect("whole, if it is read from the start");
    assert_eq!(read[&0], numbers(0..60));
    let epochs: Vec<_> = feeds[0].positions().map(|position| position.leader_epoch).collect();
    let [Some(last)] = epochs[..] else { panic!("{epochs:?}") };

    let before = Assignment { leader_epoch: Some(last - 1), ..Assignment::open(0, 40) };
    let (_source, mut feeds) = faulty.start(before);
    let error = lose(&mut feeds[0], &mut Values::new());
    let SourceError::LogTruncated { partition, offset, cut_to, .. } = error else { panic!("{error}") };
    assert_eq!((partition, offset, cut_to), (0, 40, Some(30)));

    feeds[0].assign(&Assignment::open(0, 30)).expect("taken");
    assert_eq!(read_to_end(&mut feeds, &LIMITS).expect("no fault")[&0], numbers(30..60));
}
