//! A broker that makes the topic on demand, and goes away while the exchange goes on answering: what is not
//! acknowledged in time is told as lost and counted, and what comes after is written.

use speed_layer_tests::exchange::{Answer, Exchange};
use speed_layer_tests::exchange_ticks::numbers_in;
use speed_layer_tests::kafka::Broker;

use super::LIMIT;
use super::exchange_polled::start_at;

#[test]
fn messages_that_the_broker_does_not_take_in_time_are_lost_by_name_and_the_exit_code_says_so() {
    // The first message comes while the broker is still making the topic.
    let on_demand = [("auto.create.topics.enable", "true"), ("num.partitions", "1")];
    let mut broker = Broker::start(&on_demand).expect("a broker of its own");
    let exchange = Exchange::start(Answer::ticker);
    let words = format!(
        "--from binance --url http://{} --symbols BTCUSDT --interval 100ms --kafka message.timeout.ms=2000",
        exchange.host()
    );
    let mut running = start_at(&broker.address(), "exchange-away", &words);
    running.wait_for("produced messages=10", LIMIT).expect("it is under way");
    broker.kill().expect("it runs");
    let told = running.wait_for("a message is lost", LIMIT).expect("it says so");
    for part in ["symbol=\"BTCUSDT\"", "event_time_ms=", "did not acknowledge"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    broker.restart().expect("it comes back");
    for _ in 0..2 {
        running.wait_for("produced messages=", LIMIT).expect("it goes on by itself");
    }
    running.signal("TERM").expect("it runs");
    let finished = running.finish(LIMIT).expect("it ends");
    assert_eq!(finished.status.code(), Some(1), "{}", finished.told());
    let last = finished.stdout.lines().last().unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_str(last).expect("a summary");
    let [taken, delivered, lost] =
        ["messages", "delivered", "lost"].map(|name| summary[name].as_u64().expect("a number"));
    assert!(lost > 0 && delivered + lost == taken, "{}", finished.told());
    assert!(finished.stderr.contains(&format!("{lost} of {taken} messages")), "{}", finished.told());
    let told = finished.stderr.lines().filter(|line| line.contains("a message is lost"));
    assert_eq!(told.count() as u64, lost, "{}", finished.told());
    let found = &numbers_in(&broker, "exchange-away", 1).expect("whole records")["BTCUSDT"];
    assert!(found.is_sorted_by(|one, next| one < next), "out of order or twice: {found:?}");
    // What was lost on its way may have arrived all the same.
    let arrived = found.len() as u64;
    assert!((delivered..=taken).contains(&arrived), "{arrived} arrived: {}", finished.told());
}
