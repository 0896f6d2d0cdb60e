//! The source against librdkafka's in-process cluster: every record once, bounds, ends
//! and cuts; `source_changes_while_it_reads` has what goes wrong. No transactions: the mock cluster has no control records.

mod common;

use std::time::{Duration, Instant};

use common::{LIMITS, PATIENCE, Stand, collect, from_start, read_to_end};
use speed_layer_core::records::{Records, TimestampKind};
use speed_layer_kafka::source::SourceOptions;
use speed_layer_kafka::{Assignment, Feed, Message, PollLimits, Source};

#[test]
fn every_record_of_every_partition_is_read_once_and_in_order() {
    check_read(1, 1, 1_000);
    check_read(2, 2, 3_001);
    check_read(8, 2, 4_000);
    check_read(2, 8, 100);
}

fn check_read(partitions: i32, workers: usize, count: usize) {
    let stand = Stand::new("numbers", partitions);
    stand.produce_numbers(count, partitions as usize);
    let (_source, mut feeds) = stand.start(&from_start(partitions), workers);
    assert_eq!(feeds.len(), workers.min(partitions as usize));
    let values = read_to_end(&mut feeds, &LIMITS).expect("no fault");
    for (partition, got) in &values {
        let of_partition = (*partition as usize..count).step_by(partitions as usize);
        let expected: Vec<String> = of_partition.map(|number| number.to_string()).collect();
        assert_eq!(got, &expected, "partition {partition} of {partitions}");
    }
    for position in feeds.iter().flat_map(|feed| feed.positions()) {
        let rows = values.get(&position.partition).map_or(0, Vec::len);
        assert_eq!(position.next_offset, rows as i64);
        assert!(position.is_at_log_end(), "{position:?}");
    }
}

#[test]
fn records_at_or_beyond_the_bound_are_not_given_out() {
    for (start_offset, end_offset) in [(0, 300), (120, 121), (50, 50), (0, 500)] {
        let stand = Stand::new("bounded", 1);
        stand.produce_numbers(500, 1);
        let end_offset_given = Some(end_offset);
        let assignment = Assignment { end_offset: end_offset_given, ..Assignment::open(0, start_offset) };
        let (_source, mut feeds) = stand.start(&[assignment], 1);
        let values = read_to_end(&mut feeds, &LIMITS).expect("no fault");
        let expected: Vec<String> = (start_offset..end_offset).map(|number| number.to_string()).collect();
        assert_eq!(values.get(&0).cloned().unwrap_or_default(), expected);
        let position = feeds[0].positions().next().expect("one partition");
        assert_eq!(position.next_offset, end_offset);
    }
}

#[test]
fn an_empty_partition_is_at_its_end_beside_a_full_one() {
    let stand = Stand::new("lopsided", 2);
    stand.produce_numbers(100, 1);
    let (_source, mut feeds) = stand.start(&from_start(2), 1);
    let values = read_to_end(&mut feeds, &LIMITS).expect("no fault");
    assert_eq!(values.keys().collect::<Vec<_>>(), [&0]);
    let ends: Vec<_> = feeds[0].positions().map(|position| position.next_offset).collect();
    assert_eq!(ends, [100, 0]);
}

#[test]
fn records_that_arrive_after_the_end_are_read_too() {
    let stand = Stand::new("growing", 1);
    let (_source, mut feeds) = stand.start(&from_start(1), 1);
    read_to_end(&mut feeds, &LIMITS).expect("no fault");
    stand.produce_numbers(10, 1);
    read_until(&mut feeds[0], &mut common::Values::new(), 0, 10);
    read_to_end(&mut feeds, &LIMITS).expect("no fault");
    assert!(feeds[0].positions().all(|position| position.next_offset == 10));
}

#[test]
fn a_batch_is_cut_at_its_bytes_and_an_oversized_record_comes_alone() {
    let stand = Stand::new("sizes", 1);
    let sizes = [10, 10, 10, 200, 10, 40, 1];
    let values: Vec<Vec<u8>> = sizes.iter().map(|size| vec![b'x'; *size]).collect();
    let one = |value: &'_ Vec<u8>| value.clone();
    let owned: Vec<_> = values.iter().map(one).collect();
    stand.produce(owned.iter().map(|value| Message { value: Some(value), ..Message::default() }));
    let (_source, mut feeds) = stand.start(&from_start(1), 1);
    let limits = PollLimits { bytes_max: 50, ..LIMITS };
    let mut batches = Vec::new();
    let mut records = Records::default();
    while !feeds[0].is_at_end() {
        feeds[0].poll(&mut records, &limits).expect("no fault");
        let lengths = (0..records.len()).map(|row| records.values.get(row).map_or(0, <[u8]>::len));
        batches.extend((!records.is_empty()).then(|| lengths.collect::<Vec<_>>()));
    }
    let all: Vec<usize> = batches.iter().flatten().copied().collect();
    assert_eq!(all, sizes);
    let fits = |batch: &Vec<usize>| batch.len() == 1 || batch.iter().sum::<usize>() <= 50;
    assert!(batches.iter().all(fits), "{batches:?}");
}

/// A record's key and value.
type Shape = (Option<&'static [u8]>, Option<&'static [u8]>);

#[test]
fn tombstones_empty_values_and_missing_keys_stay_apart() {
    let stand = Stand::new("shapes", 1);
    let shapes: [Shape; 5] = [
        (None, None),
        (Some(b""), Some(b"")),
        (Some(b"k"), None),
        (None, Some(b"v")),
        (Some(b"k"), Some(b"")),
    ];
    stand.produce(shapes.iter().map(|(key, value)| Message {
        key: *key,
        value: *value,
        timestamp_ms: Some(1_700_000_000_123),
        partition: Some(0),
    }));
    let (_source, mut feeds) = stand.start(&from_start(1), 1);
    let records = first_batch_of(&mut feeds[0], shapes.len());
    let got: Vec<_> = (0..shapes.len()).map(|row| (records.keys.get(row), records.values.get(row))).collect();
    assert_eq!(got, shapes);
    assert_eq!(records.offsets, [0, 1, 2, 3, 4]);
    assert_eq!(records.timestamps_ms, [1_700_000_000_123; 5]);
    assert_eq!(records.timestamp_kind, TimestampKind::CreateTime);
    assert!(records.headers.is_none());
}

fn read_until(feed: &mut Feed, values: &mut common::Values, partition: i32, rows: usize) {
    let (began, mut records) = (Instant::now(), Records::default());
    while values.get(&partition).map_or(0, Vec::len) < rows {
        assert!(began.elapsed() < PATIENCE, "{:?} of {rows} rows in time", values.get(&partition));
        feed.poll(&mut records, &LIMITS).expect("no fault");
        collect(&records, values);
    }
}

fn first_batch_of(feed: &mut Feed, rows: usize) -> Records {
    let began = Instant::now();
    let mut records = Records::default();
    while records.len() < rows {
        assert!(began.elapsed() < PATIENCE, "no whole batch in time");
        feed.poll(&mut records, &PollLimits { timeout_ms: 1_000, ..LIMITS }).expect("no fault");
    }
    records
}

#[test]
fn headers_are_packed_when_they_are_wanted() {
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    let stand = Stand::new("headed", 1);
    let mut config = rdkafka::ClientConfig::new();
    let producer: BaseProducer =
        config.set("bootstrap.servers", stand.kafka.brokers()).create().expect("producer");
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header { key: "b", value: None::<&str> });
    let send = |record: BaseRecord<'_, str, str>| producer.send(record).map_err(|(error, _)| error);
    send(BaseRecord::to("headed").payload("x").headers(headers)).expect("queued");
    producer.flush(PATIENCE).expect("delivered");
    send(BaseRecord::to("headed").payload("y")).expect("queued");
    producer.flush(PATIENCE).expect("delivered");

    let options = SourceOptions { workers: 1, wants_headers: true };
    let (_source, mut feeds) = Source::start(
        &stand.connection,
        "test",
        "headed",
        &[Assignment { end_offset: Some(2), ..Assignment::open(0, 0) }],
        options,
    )
    .expect("source");
    let (mut seen, mut records) = (Vec::new(), Records::default());
    while !feeds[0].is_at_end() {
        feeds[0].poll(&mut records, &LIMITS).expect("no fault");
        let headers = records.headers.as_ref().expect("asked for");
        for row in 0..records.len() {
            let range = headers.starts()[row] as usize..headers.starts()[row + 1] as usize;
            let pair = |index| (headers.names().get(index), headers.values().get(index));
            let owned = |(name, value): (Option<&[u8]>, Option<&[u8]>)| {
                (name.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec))
            };
            seen.push(range.map(pair).map(owned).collect::<Vec<_>>());
        }
    }
    let first = vec![(Some(b"a".to_vec()), Some(b"1".to_vec())), (Some(b"b".to_vec()), None)];
    assert_eq!(seen, [first, vec![]]);
}

#[test]
fn a_paused_partition_gives_nothing_until_it_is_resumed() {
    let stand = Stand::new("paused", 2);
    let (_source, mut feeds) = stand.start(&from_start(2), 1);
    read_to_end(&mut feeds, &LIMITS).expect("no fault");
    feeds[0].pause(&[1]).expect("paused");
    stand.produce_numbers(200, 2);
    let mut values = common::Values::new();
    read_until(&mut feeds[0], &mut values, 0, 100);
    assert!(!values.contains_key(&1), "partition 1 is paused");
    feeds[0].resume(&[1]).expect("resumed");
    read_until(&mut feeds[0], &mut values, 1, 100);
    let expected: Vec<String> = (1..200).step_by(2).map(|number| number.to_string()).collect();
    assert_eq!(values[&1], expected);
}

#[test]
fn a_wake_ends_a_long_wait() {
    let stand = Stand::new("quiet", 1);
    let (source, mut feeds) = stand.start(&from_start(1), 1);
    read_to_end(&mut feeds, &LIMITS).expect("no fault");
    let began = Instant::now();
    std::thread::scope(|scope| {
        let limits = PollLimits { timeout_ms: 30_000, ..LIMITS };
        let feed = &mut feeds[0];
        let waiting = scope.spawn(move || feed.poll(&mut Records::default(), &limits).expect("no fault"));
        while !waiting.is_finished() {
            source.wake();
            std::thread::yield_now();
        }
    });
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn feeds_and_source_may_be_dropped_in_any_order_with_messages_in_hand() {
    for source_first in [true, false] {
        let stand = Stand::new("dropped", 2);
        stand.produce_numbers(2_000, 2);
        let (source, mut feeds) = stand.start(&from_start(2), 2);
        let limits = PollLimits { rows_max: 1, timeout_ms: 5_000, ..LIMITS };
        feeds[0].poll(&mut Records::default(), &limits).expect("no fault");
        if source_first {
            drop(source);
            drop(feeds);
        } else {
            drop(feeds);
            drop(source);
        }
    }
}

#[test]
fn group_offsets_are_committed_without_being_waited_for() {
    let stand = Stand::new("watched", 1);
    stand.produce_numbers(10, 1);
    let (source, mut feeds) = stand.start(&from_start(1), 1);
    read_to_end(&mut feeds, &LIMITS).expect("no fault");
    source.commit_for_monitoring(&[(0, 10)]).expect("queued");
}
