//! The commands of docs/produce.md, typed into a shell; the exchange is a pretended one.

use std::fs;
use std::thread;

use speed_layer_tests::exchange::{Answer, Exchange};
use speed_layer_tests::exchange_stream::StreamServer;
use speed_layer_tests::exchange_ticks::message;
use speed_layer_tests::job::new_folder;
use speed_layer_tests::kafka;
use speed_layer_tests::places::{root, target};
use speed_layer_tests::transcript::{Shell, steps};

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
    let folder = new_folder().expect("a folder in the build directory");
    let path =
        format!("{}:{}", target().join("release").display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Shell::start(folder.path(), &path).expect("sh starts");
    shell
        .run("unset ALL_PROXY HTTPS_PROXY HTTP_PROXY all_proxy https_proxy http_proxy", LIMIT)
        .expect("it ends");
    for mut step in steps {
        step.command = step
            .command
            .replace("localhost:9092", &kafka::shared().address())
            .replace("--from binance", &format!("--from binance --url http://{}", exchange.host()))
            .replace("--from websocket", &format!("--from websocket --url ws://{stream}"));
        shell.check(&step, LIMIT).unwrap_or_else(|error| panic!("{error:#}"));
    }
}
