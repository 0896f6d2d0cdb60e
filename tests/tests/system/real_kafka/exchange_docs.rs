//! The commands of docs/produce.md, typed into a shell; the exchange is a pretended one.

use std::fs;
use std::thread;

use speed_layer_tests::exchange::{Answer, Exchange};
use speed_layer_tests::exchange_stream::StreamServer;
use speed_layer_tests::exchange_ticks::message;
use speed_layer_tests::kafka;
use speed_layer_tests::places::root;
use speed_layer_tests::transcript::{Reader, steps};

use super::LIMIT;

const DOCUMENT: &str = "docs/produce.md";

/// Both symbols' tickers, until nobody listens.
fn stream_without_end(server: &StreamServer) {
    let mut peer = server.accept().expect("it connects");
    let mut send = |number| {
        let both = ["BTCUSDT", "ETHUSDT"].map(|symbol| message(symbol, number));
        both.iter().try_for_each(|text| peer.say(text))
    };
    // It ends when the program has enough.
    let _ = (0..100_000).try_for_each(&mut send);
}

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let steps = steps(&fs::read_to_string(root().join(DOCUMENT)).expect(DOCUMENT));
    assert!(steps.len() >= 2, "there are only {} commands in {DOCUMENT}", steps.len());
    kafka::shared().create_topic("crypto-prices", 2, &[]).expect("a new name");
    let exchange = Exchange::start(Answer::ticker);
    let server = StreamServer::start(LIMIT);
    let stream = server.host();
    thread::spawn(move || stream_without_end(&server));
    let mut reader = Reader::new().expect("a shell");
    reader
        .shell
        .run("unset ALL_PROXY HTTPS_PROXY HTTP_PROXY all_proxy https_proxy http_proxy", LIMIT)
        .expect("it ends");
    let address = kafka::shared().address();
    let polled = format!("--from binance --url http://{}", exchange.host());
    let streamed = format!("--from websocket --url ws://{stream}");
    let replaced =
        [("localhost:9092", address.as_str()), ("--from binance", &polled), ("--from websocket", &streamed)];
    reader.type_all(steps, &replaced).unwrap_or_else(|error| panic!("{error:#}"));
}
