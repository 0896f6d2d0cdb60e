//! `host produce --from binance` against a pretended exchange: what it writes, when it asks, and what it makes
//! of every bad answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use speed_layer_tests::exchange::{Answer, Exchange};
use speed_layer_tests::exchange_ticks::{self, numbers_in};
use speed_layer_tests::host::{self, Finished, Running};
use speed_layer_tests::kafka;

use super::LIMIT;

/// What the program would take for a way out to the exchange.
pub const PROXIES: [&str; 6] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// Starts it over a new topic of two partitions.
pub fn start(topic: &str, words: &str) -> Running {
    kafka::shared().create_topic(topic, 2, &[]).expect("a new name");
    start_at(&kafka::shared().address(), topic, words)
}

pub fn start_at(brokers: &str, topic: &str, words: &str) -> Running {
    let mut command = host::command().expect("it is built");
    command.args(["produce", "--brokers", brokers, "--topic", topic]).args(words.split_whitespace());
    for name in PROXIES {
        command.env_remove(name);
    }
    Running::start(&mut command).expect("it starts")
}

/// Ends it by a signal, in order.
pub fn stop(running: Running, signal: &str) -> (Finished, Value) {
    running.signal(signal).expect("it runs");
    let finished = running.finish(LIMIT).expect("it ends");
    let summary = finished.summary().expect("a normal end");
    assert_eq!(summary["delivered"], summary["messages"], "{}", finished.told());
    (finished, summary)
}

pub fn in_topic(topic: &str) -> BTreeMap<String, Vec<u64>> {
    numbers_in(kafka::shared(), topic, 2).expect("whole records")
}

/// A right answer to every question.
fn ticking() -> Exchange {
    Exchange::start(Answer::ticker)
}

#[test]
fn each_answer_becomes_a_message_with_the_digits_that_were_sent_in_the_order_of_its_symbol() {
    let exchange = ticking();
    let url = format!("http://desk:hunter2@{}/base/", exchange.host());
    let words = format!("--from binance --url {url} --symbols BTCUSDT,ethusdt --interval 40ms --count 50");
    let finished = start("exchange-ticks", &words).finish(LIMIT).expect("it ends");
    let summary = finished.summary().expect("a normal end");
    for (field, expected) in [("messages", 50), ("delivered", 50), ("lost", 0)] {
        assert_eq!(summary[field], expected, "{field}: {}", finished.told());
    }
    assert_eq!(summary["skipped"], json!({}), "{}", finished.told());
    let found = in_topic("exchange-ticks");
    assert_eq!(found.keys().collect::<Vec<_>>(), ["BTCUSDT", "ETHUSDT"]);
    assert_eq!(found.values().map(Vec::len).sum::<usize>(), 50);
    for numbers in found.values() {
        assert_eq!(*numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    }
    for asked in exchange.asked() {
        assert!(asked.line.starts_with("GET /base/api/v3/ticker/24hr?symbol="), "{asked:?}");
        assert_eq!(asked.authorization.as_deref(), Some("Basic ZGVzazpodW50ZXIy"));
    }
    assert!(!finished.told().contains("hunter2"), "{}", finished.told());
    let lines = finished.stderr.lines().filter(|line| line.contains("produced"));
    assert_eq!(lines.count(), 5, "{}", finished.told());
}

/// What a bad exchange answers, one after the other; the part of the log that names it, and its count.
fn mischief() -> Vec<(Answer, &'static str, &'static str)> {
    let answer = |symbol| exchange_ticks::answer(symbol, 1);
    let with = |part: &str, by: &str| {
        assert!(answer("BTCUSDT").contains(part), "{part}");
        Answer::text(200, &answer("BTCUSDT").replace(part, by))
    };
    let cut = answer("BTCUSDT");
    vec![
        (Answer::text(500, "out of order"), "HTTP status 500: out of order", "http_status"),
        (Answer::text(200, "<html>\x1b[31mbusy"), "<html>\\u{1b}[31mbusy", "not_json"),
        (with("\"67001.45000000\"", "null"), "\"lastPrice\" should be text and is null", "not_a_ticker"),
        (
            with("\"67001.45000000\"", "67001.45"),
            "\"lastPrice\" should be text and is 67001.45",
            "not_a_ticker",
        ),
        (with("67001.45000000", "NaN"), "a number as text and is \"NaN\"", "not_a_ticker"),
        (with("\"closeTime\":1767225601123", "\"closeTime\":\"soon\""), "\"closeTime\"", "not_a_ticker"),
        (Answer::text(200, &answer("ETHUSDT")), "asked for BTCUSDT, it is \"ETHUSDT\"", "other_symbol"),
        (Answer::text(200, &cut[..cut.len() / 2]), "EOF while parsing", "not_json"),
        (Answer::text(200, &"x".repeat(100_000)), "larger than", "too_large"),
        (Answer::Cut, "no whole answer", "unreachable"),
        (Answer::Silence, "timeout", "timeout"),
        (Answer::Told(302, "Location: /elsewhere\r\n".into(), Vec::new()), "HTTP status 302", "http_status"),
        (Answer::text(400, "{\"code\":-1121}"), "HTTP status 400: {\"code\":-1121}", "http_status"),
        (Answer::text(200, "null"), "no object: null", "not_a_ticker"),
        (Answer::text(200, ""), "it is no JSON", "not_json"),
    ]
}

#[test]
fn every_bad_answer_is_named_counted_and_skipped_and_nothing_stops() {
    let bad = mischief().len();
    let exchange = Exchange::start(move |symbol, number| match mischief().into_iter().nth(number as usize) {
        Some((answer, _, _)) if symbol == "BTCUSDT" => answer,
        _ => Answer::ticker(symbol, number),
    });
    let words = format!("--from binance --url http://{} --interval 50ms --timeout 600ms", exchange.host());
    let running = start("exchange-bad", &words);
    exchange.wait_for("BTCUSDT", bad + 5, LIMIT);
    let (finished, summary) = stop(running, "TERM");
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, named, counted) in mischief() {
        let named = finished.stderr.lines().any(|line| line.contains("is skipped") && line.contains(named));
        assert!(named, "{counted}: {}", finished.told());
        *expected.entry(counted).or_default() += 1;
    }
    assert_eq!(summary["skipped"], json!(expected), "{}", finished.told());
    assert!(summary["polls_missed"].as_u64() >= Some(10), "600 ms of silence, at 50 ms: {summary}");
    let found = in_topic("exchange-bad");
    for (symbol, first) in [("BTCUSDT", bad as u64), ("ETHUSDT", 0)] {
        let numbers = &found[symbol];
        assert_eq!(*numbers, (first..first + numbers.len() as u64).collect::<Vec<_>>(), "{symbol}");
        assert!(numbers.len() >= 4, "{symbol}: {numbers:?}");
    }
    assert!(!finished.stderr.contains('\x1b'), "{}", finished.told());
}

#[test]
fn an_exchange_that_asks_to_be_left_alone_is_asked_for_no_symbol_meanwhile() {
    let exchange = Exchange::start(|symbol, number| match (symbol, number) {
        ("BTCUSDT", 2) => Answer::wait(429, 2),
        ("BTCUSDT", 5) => Answer::wait(418, 1),
        _ => Answer::ticker(symbol, number),
    });
    let words = format!("--from binance --url http://{} --interval 50ms", exchange.host());
    let running = start("exchange-limits", &words);
    exchange.wait_for("BTCUSDT", 10, LIMIT);
    let (finished, summary) = stop(running, "INT");
    assert_eq!(summary["skipped"], json!({"rate_limited": 1, "banned": 1}), "{}", finished.told());
    assert!(summary["polls_held_back"].as_u64() >= Some(40), "3 s, at 50 ms, for two: {summary}");
    let asked = exchange.asked();
    let mut pauses: Vec<Duration> = asked.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    pauses.sort_unstable();
    // The other symbol may have been under way as the answer came.
    let longest = &pauses[pauses.len() - 2..];
    assert!(
        longest[0] >= Duration::from_millis(900) && longest[1] >= Duration::from_millis(1_900),
        "{pauses:?}"
    );
}

#[test]
fn slow_answers_do_not_put_off_the_polls_after_them() {
    let exchange = Exchange::start(|symbol, number| {
        let answer = Answer::ticker(symbol, number);
        if symbol == "BTCUSDT" { Answer::Late(Duration::from_millis(250), Box::new(answer)) } else { answer }
    });
    let words = format!("--from binance --url http://{} --interval 400ms", exchange.host());
    let running = start("exchange-drift", &words);
    exchange.wait_for("BTCUSDT", 12, LIMIT);
    let (slow, quick) = (exchange.times("BTCUSDT").len(), exchange.times("ETHUSDT").len());
    let (_, summary) = stop(running, "TERM");
    // Were a poll due an interval after an answer, there would be eight for thirteen ticks.
    let missed = summary["polls_missed"].as_u64().expect("a number") as usize;
    assert!(missed <= 4 && quick.abs_diff(slow) <= missed + 2, "{slow} and {quick}, {missed} missed");
}

#[test]
fn polls_that_were_missed_are_counted_and_not_made_up_for() {
    let exchange = Exchange::start(|symbol, number| {
        let answer = Answer::ticker(symbol, number);
        if number == 3 { Answer::Late(Duration::from_millis(800), Box::new(answer)) } else { answer }
    });
    let words = format!("--from binance --url http://{} --symbols BTCUSDT --interval 50ms", exchange.host());
    let running = start("exchange-missed", &words);
    exchange.wait_for("BTCUSDT", 15, LIMIT);
    let times = exchange.times("BTCUSDT");
    let (finished, summary) = stop(running, "TERM");
    assert!(summary["polls_missed"].as_u64() >= Some(15), "{}", finished.told());
    // Ten intervals; the first of these polls may have come late.
    assert!(times[14] - times[4] > Duration::from_millis(250), "a burst: {times:?}");
}

#[test]
fn a_signal_ends_it_with_all_that_it_has_taken_in_the_topic() {
    for (signal, topic) in [("INT", "exchange-int"), ("TERM", "exchange-term")] {
        // The first question for one symbol is never answered; what is taken stays in the queue.
        let exchange = Exchange::start(|symbol, number| match symbol {
            "ETHUSDT" => Answer::Silence,
            _ => Answer::ticker(symbol, number),
        });
        let words = format!(
            "--from binance --url http://{} --interval 20ms --timeout 1h --kafka linger.ms=600000 \
             --kafka message.timeout.ms=900000",
            exchange.host()
        );
        let running = start(topic, &words);
        exchange.wait_for("BTCUSDT", 30, LIMIT);
        let (finished, summary) = stop(running, signal);
        let taken = summary["messages"].as_u64().expect("a number");
        assert!(taken >= 25, "{}", finished.told());
        assert_eq!(in_topic(topic)["BTCUSDT"], (0..taken).collect::<Vec<_>>());
    }
}

#[test]
fn a_topic_that_is_not_there_is_told_before_anything_is_asked() {
    let exchange = ticking();
    let words = format!("--from binance --url http://{}", exchange.host());
    let refused = start_at(&kafka::shared().address(), "exchange-not-there", &words);
    let refused = refused.finish(LIMIT).expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(refused.stderr.contains("the topic exchange-not-there is not there"), "{}", refused.told());
    assert!(exchange.asked().is_empty());
}

#[test]
fn what_an_exchange_does_not_understand_is_refused_by_name() {
    for (words, named) in [
        ("--from binance --rate 5", "--rate"),
        ("--from websocket --count 5 --days 3", "--days"),
        ("--from binance --stall 5s", "--stall"),
        ("--from websocket --interval 5s", "--interval"),
        ("--from synthetic --timeout 5s", "--timeout"),
        ("--from binance --interval 0s", "--interval"),
        ("--from binance --timeout soon", "--timeout"),
        ("--from binance --symbols BTCUSDT,btcusdt", "--symbols"),
        ("--from binance --symbols A/B", "--symbols"),
        ("--from binance --url wss://u:hunter2@h", "--url"),
        ("--from websocket --url http://u:hunter2@h", "--url"),
        ("--from websocket --url hunter2@", "--url"),
    ] {
        let refused = start_at("127.0.0.1:1", "any", words).finish(LIMIT).expect("it ends");
        assert_eq!(refused.status.code(), Some(2), "{words}: {}", refused.told());
        assert!(refused.stderr.contains(named), "{words}: {}", refused.told());
        assert!(!refused.told().contains("hunter2"), "{words}: {}", refused.told());
    }
}
