//! `host produce --from websocket` against a pretended exchange: what it writes, and what it does when the
//! stream breaks.

use serde_json::json;
use speed_layer_tests::exchange_stream::{Peer, StreamServer};
use speed_layer_tests::exchange_ticks::message;
use speed_layer_tests::host::Running;

use super::LIMIT;
use super::exchange_polled::{in_topic, start, stop};

fn listening(topic: &str, words: &str) -> (StreamServer, Running) {
    let server = StreamServer::start(LIMIT);
    let words = format!("--from websocket --url ws://{} {words}", server.host());
    let running = start(topic, &words);
    (server, running)
}

/// Sends the tickers of these numbers.
fn send(peer: &mut Peer, symbol: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        peer.say(&message(symbol, number)).expect("a connection");
    }
}

/// Until ten more messages are in the topic.
fn wait_for(running: &mut Running, messages: u64) {
    running.wait_for(&format!("produced messages={messages}"), LIMIT).expect("they come through");
}

#[test]
fn each_message_of_the_stream_becomes_one_in_the_topic_and_pings_are_answered() {
    let (server, mut running) = listening("stream-ticks", "--symbols BTCUSDT,ETHUSDT");
    let mut peer = server.accept().expect("it connects");
    assert_eq!(peer.path, "/stream?streams=btcusdt@ticker/ethusdt@ticker");
    send(&mut peer, "BTCUSDT", 0..7);
    peer.ping(b"are you there").expect("an answer");
    send(&mut peer, "ETHUSDT", 0..13);
    peer.ping(b"").expect("an answer");
    wait_for(&mut running, 20);
    let (finished, summary) = stop(running, "TERM");
    assert_eq!((&summary["messages"], &summary["skipped"]), (&20.into(), &json!({})), "{}", finished.told());
    let expected = [("BTCUSDT", 7), ("ETHUSDT", 13)];
    let expected = expected.map(|(symbol, count)| (symbol.to_owned(), (0..count).collect::<Vec<u64>>()));
    assert_eq!(in_topic("stream-ticks"), expected.into());
    assert!(!finished.stderr.contains("WARN"), "{}", finished.told());
}

#[test]
fn a_connection_that_ends_is_made_again_and_the_gap_is_told() {
    let (server, mut running) = listening("stream-gaps", "--symbols BTCUSDT");
    let mut peer = server.accept().expect("it connects");
    send(&mut peer, "BTCUSDT", 0..10);
    wait_for(&mut running, 10);
    peer.cut().expect("it is open");
    let told = running.wait_for("the connection was cut", LIMIT).expect("it says so");
    assert!(told.contains("WARN"), "{told}");
    server.refuse(503, "Retry-After: 1").expect("it tries again");
    running.wait_for("HTTP status 503", LIMIT).expect("it says so");
    let mut peer = server.accept().expect("it tries once more");
    send(&mut peer, "BTCUSDT", 15..25);
    let told = running.wait_for("a gap", LIMIT).expect("it says so");
    for part in ["from=\"2026-01-01T00:00:09.123Z\"", "to=\"2026-01-01T00:00:15.123Z\"", "gap_ms="] {
        assert!(told.contains(part), "{part}: {told}");
    }
    wait_for(&mut running, 20);
    peer.close("a day is over").expect("it answers");
    let told = running.wait_for("the exchange closed the connection", LIMIT).expect("it says so");
    assert!(told.contains("INFO") && told.contains("a day is over"), "{told}");
    let mut peer = server.accept().expect("it connects again");
    send(&mut peer, "BTCUSDT", 26..36);
    wait_for(&mut running, 30);
    let (finished, summary) = stop(running, "INT");
    let numbers: Vec<u64> = (0..10).chain(15..25).chain(26..36).collect();
    assert_eq!(in_topic("stream-gaps")["BTCUSDT"], numbers);
    let counts = ["reconnects", "gaps"].map(|name| summary[name].as_u64());
    assert_eq!(counts, [Some(2), Some(2)], "{}", finished.told());
    assert_eq!(summary["skipped"], json!({"http_status": 1}), "{}", finished.told());
    assert!(summary["gap_ms_max"].as_u64() >= Some(1_000), "{summary}");
}

#[test]
fn messages_that_are_no_tickers_are_named_counted_and_skipped() {
    let (server, mut running) = listening("stream-bad", "--symbols BTCUSDT");
    let mut peer = server.accept().expect("it connects");
    let right = message("BTCUSDT", 1);
    let bad = [
        ("<html>busy</html>".to_owned(), "<html>busy", "not_json"),
        ("{\"result\":null,\"id\":1}".to_owned(), "\"data\" should be an object", "not_a_ticker"),
        (right.replace("24hrTicker", "trade"), "should be 24hrTicker and is \"trade\"", "not_a_ticker"),
        (right.replace("\"67001.45000000\"", "null"), "\"c\" should be text and is null", "not_a_ticker"),
        (
            right.replace("\"67001.45000000\"", "\"1e999\""),
            "\"c\" should be a number as text",
            "not_a_ticker",
        ),
        (message("ETHUSDT", 1), "\"ETHUSDT\"", "other_symbol"),
        (right[..right.len() / 2].to_owned(), "EOF while parsing", "not_json"),
    ];
    for (text, named, counted) in &bad {
        peer.say(text).expect("a connection");
        let told = running.wait_for("is skipped", LIMIT).expect("it says so");
        assert!(told.contains(named) && told.contains(counted), "{named}: {told}");
    }
    peer.say_bytes(b"\xff\x1b[31m").expect("a connection");
    running.wait_for("not_json", LIMIT).expect("it says so");
    send(&mut peer, "BTCUSDT", 0..10);
    wait_for(&mut running, 10);
    // A message that is too long may not even be sent to its end.
    let _ = peer.say(&"x".repeat(10_000_000));
    running.wait_for("too long", LIMIT).expect("it says so");
    let mut peer = server.accept().expect("it connects again");
    send(&mut peer, "BTCUSDT", 10..20);
    wait_for(&mut running, 20);
    let (finished, summary) = stop(running, "TERM");
    let expected = json!({"not_json": 3, "not_a_ticker": 4, "other_symbol": 1, "too_large": 1});
    assert_eq!(summary["skipped"], expected, "{}", finished.told());
    assert_eq!(in_topic("stream-bad")["BTCUSDT"], (0..20).collect::<Vec<_>>());
}

#[test]
fn a_connection_on_which_nothing_comes_is_given_up_though_it_pings() {
    let (server, mut running) = listening("stream-stall", "--symbols BTCUSDT --stall 1500ms --timeout 700ms");
    // Nobody answers the handshake at first.
    let silent = server.next().expect("it connects");
    let told = running.wait_for("no connection", LIMIT).expect("it says so");
    assert!(told.contains("timeout") && told.contains("700 ms"), "{told}");
    drop(silent);
    let mut peer = server.accept().expect("it tries again");
    send(&mut peer, "BTCUSDT", 0..10);
    wait_for(&mut running, 10);
    while peer.ping(b"alive").is_ok() {}
    running.wait_for("no message came for 1500 ms", LIMIT).expect("it says so");
    let mut peer = server.accept().expect("it connects again");
    send(&mut peer, "BTCUSDT", 10..20);
    wait_for(&mut running, 20);
    let (finished, summary) = stop(running, "TERM");
    assert_eq!(summary["skipped"], json!({"timeout": 1}), "{}", finished.told());
    assert_eq!((&summary["reconnects"], &summary["gaps"]), (&1.into(), &1.into()), "{}", finished.told());
}
