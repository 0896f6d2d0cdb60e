//! The tests' own broker does what the other tests take for granted.

use speed_layer_tests::kafka::{self, Broker};
use speed_layer_tests::ticks::{Plan, Spread};
use speed_layer_tests::topics::read_all;

#[test]
fn records_lie_where_their_plan_says() {
    let broker = kafka::shared();
    let plan = Plan { rows: 5_000, symbols: 3, bad_per_million: 10_000, ..Plan::default() };
    for (topic, codec, spread) in
        [("in-turn", "gzip", Spread::InTurn), ("by-symbol", "lz4", Spread::BySymbol)]
    {
        let mut records = plan.records(2, spread);
        broker.create_topic(topic, 2, &[]).expect("a new name");
        let written = broker.produce(topic, codec, records.iter().map(|record| record.to_record()));
        assert_eq!(written.expect("all acknowledged"), 5_000);
        records.sort_by_key(|record| (record.partition, record.offset));
        let expected: Vec<_> = records.into_iter().map(|r| (r.partition, r.offset, Some(r.value))).collect();
        assert!(read_all(broker, topic, 2).expect("the broker answers") == expected, "{topic}");
    }
}

#[test]
fn a_topic_that_exists_cannot_be_made_again() {
    let broker = kafka::shared();
    broker.create_topic("once", 1, &[]).expect("a new name");
    assert!(broker.create_topic("once", 1, &[]).is_err());
    broker.delete_topic("once").expect("it exists");
}

#[test]
fn a_killed_or_stopped_broker_comes_back_with_its_records() {
    let mut broker = Broker::start(&[("num.network.threads", "2")]).expect("a broker of its own");
    let records = Plan { rows: 100, ..Plan::default() }.records(1, Spread::InTurn);
    broker.create_topic("kept", 1, &[]).expect("a new name");
    broker.produce("kept", "none", records.iter().map(|record| record.to_record())).expect("acknowledged");
    broker.kill().expect("it runs");
    broker.restart().expect("it comes back");
    assert_eq!(broker.end_offset("kept", 0).expect("the partition is there"), 100);
    broker.stop().expect("it stops");
    broker.restart().expect("it comes back");
    assert_eq!(broker.end_offset("kept", 0).expect("the partition is there"), 100);
}
