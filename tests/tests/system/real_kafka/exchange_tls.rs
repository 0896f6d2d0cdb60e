//! An exchange over TLS: its certificate must be one that the system, or `SSL_CERT_FILE`, trusts.

use std::fs;
use std::path::Path;

use native_tls::{Identity, TlsAcceptor};
use speed_layer_tests::certificate;
use speed_layer_tests::exchange::{Answer, Exchange};
use speed_layer_tests::host::{self, Running};
use speed_layer_tests::job::new_folder;
use speed_layer_tests::kafka;

use super::LIMIT;
use super::exchange_polled::{PROXIES, in_topic};

const TOPIC: &str = "exchange-tls";

fn start(words: &str, trusted: &Path) -> Running {
    let mut command = host::command().expect("it is built");
    command.args(["produce", "--brokers", &kafka::shared().address(), "--topic", TOPIC]);
    command.args(words.split_whitespace()).env("SSL_CERT_FILE", trusted);
    for name in PROXIES {
        command.env_remove(name);
    }
    Running::start(&mut command).expect("it starts")
}

#[test]
fn an_exchange_is_asked_over_tls_if_its_certificate_is_trusted() {
    kafka::shared().create_topic(TOPIC, 2, &[]).expect("a new name");
    let folder = new_folder().expect("a folder");
    certificate::make(folder.path(), &["-validity", "30"]);
    let keys = fs::read(folder.path().join(certificate::KEYS)).expect("keys");
    let identity = Identity::from_pkcs12(&keys, certificate::PASSWORD).expect("a key pair");
    let acceptor = TlsAcceptor::new(identity).expect("an acceptor");
    let exchange = Exchange::start_with(Some(acceptor), Answer::ticker);
    let trusted = folder.path().join(certificate::AUTHORITY);
    let nobody = folder.path().join("nobody.pem");
    fs::write(&nobody, "").expect("an empty file");

    let polled =
        format!("--from binance --url https://{} --symbols BTCUSDT --interval 50ms", exchange.host());
    let streamed = format!("--from websocket --url wss://{} --symbols BTCUSDT", exchange.host());
    for words in [&polled, &streamed] {
        let mut running = start(words, &nobody);
        let told = running.wait_for("certificate", LIMIT).expect("it says so");
        assert!(told.contains("unreachable"), "{told}");
        running.signal("TERM").expect("it runs");
        let summary = running.finish(LIMIT).and_then(|run| run.summary()).expect("a normal end");
        assert_eq!(summary["messages"], 0, "{summary}");
    }
    assert!(exchange.asked().is_empty());

    let finished = start(&format!("{polled} --count 5"), &trusted).finish(LIMIT).expect("it ends");
    assert_eq!(finished.summary().expect("a normal end")["delivered"], 5, "{}", finished.told());
    assert_eq!(in_topic(TOPIC)["BTCUSDT"], [0, 1, 2, 3, 4]);
    // This exchange knows no WebSocket: its answer shows that the connection was made.
    let mut running = start(&streamed, &trusted);
    running.wait_for("HTTP status 200", LIMIT).expect("it says so");
}
