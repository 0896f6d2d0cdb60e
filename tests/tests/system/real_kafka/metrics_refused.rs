//! What a job does not answer over HTTP: wrong requests, slow ones, too many at once; and addresses that it cannot have.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use speed_layer_tests::http::{await_reply, get, say};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;

use super::LIMIT;
use super::metrics::start;

fn idle(topic: &str) -> Job {
    kafka::shared().create_topic(topic, 1, &[]).expect("a new name");
    Job::new(kafka::shared(), topic).set("--trigger", "100ms")
}

#[test]
fn wrong_requests_are_answered_with_what_is_wrong_and_the_next_is_served() {
    let (_running, address) = start(&idle("metrics-wrong"));
    let long = "x".repeat(10_000);
    for (request, status, says) in [
        ("GET /nothing HTTP/1.1\r\n\r\n".to_owned(), 404, "/api/status"),
        ("GET /metrics/../health HTTP/1.1\r\n\r\n".to_owned(), 404, "nothing at this path"),
        ("POST /ready HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), 405, "GET, HEAD"),
        ("DELETE /api/swaps HTTP/1.1\r\n\r\n".to_owned(), 405, "GET, HEAD"),
        ("POST /api/swaps HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_owned(), 413, "takes a body"),
        ("GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 413, "takes a body"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 431, "longer than 8192 bytes"),
        (format!("GET /ready HTTP/1.1\r\nA: {long}\r\n\r\n"), 431, "longer than 8192 bytes"),
        (format!("GET /ready HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100)), 431, "more than 64 headers"),
        ("\u{16}\u{3}\u{1} TLS?\r\n\r\n".to_owned(), 400, "no HTTP request"),
        ("GET /ready\r\n\r\n".to_owned(), 400, "no HTTP request"),
    ] {
        let reply = say(&address, request.as_bytes()).expect("an answer");
        let shown = request.chars().take(60).collect::<String>();
        assert_eq!(reply.status, status, "{shown:?}: {reply:?}");
        assert!(reply.json()["error"].as_str().expect("a reason").contains(says), "{shown:?}: {reply:?}");
        assert_eq!(reply.header("connection"), Some("close"));
        assert_eq!(reply.header("allow").is_some(), status == 405, "{shown:?}");
    }
    let head = say(&address, b"HEAD /health HTTP/1.1\r\n\r\n").expect("an answer");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(get(&address, "/health?verbose=1").expect("an answer").status, 200);
}

#[test]
fn who_says_nothing_holds_a_seat_for_seconds_and_no_more_than_that() {
    let (running, address) = start(&idle("metrics-slow"));
    await_reply(&address, "/ready", |reply| reply.status == 200);
    let mut silent: Vec<TcpStream> =
        (0..16).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    let full = await_reply(&address, "/health", |reply| reply.status == 503);
    assert!(full.json()["error"].as_str().expect("a reason").contains("16 connections"), "{full:?}");
    let mut said = String::new();
    silent[0].set_read_timeout(Some(LIMIT)).expect("a limit");
    silent[0].read_to_string(&mut said).expect("an answer");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    await_reply(&address, "/health", |reply| reply.status == 200);
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("no connection holds its end up");
}

#[test]
fn an_address_that_cannot_be_had_ends_the_job_before_anything_is_read() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    for (listen, code, says) in [
        (held.local_addr().expect("an address").to_string(), 1, "another process listens there"),
        ("198.51.100.1:8080".to_owned(), 1, "no such address"),
        ("8080".to_owned(), 2, "no HOST:PORT"),
    ] {
        let job = Job::at("127.0.0.1:1", "never-read").set("--http", &listen);
        let run = job.run().expect("it ends");
        assert_eq!(run.status.code(), Some(code), "{}", run.told());
        assert!(run.stderr.contains(&listen) && run.stderr.contains(says), "{}", run.told());
        assert!(!job.path("checkpoint").exists(), "{listen}");
    }
}

#[test]
fn an_address_in_the_file_that_others_can_reach_is_warned_of() {
    kafka::shared().create_topic("metrics-open", 1, &[]).expect("a new name");
    let text = format!("{}[http]\nlisten = \"0.0.0.0:0\"\n", speed_layer_tests::job::DAILY);
    let job = Job::new(kafka::shared(), "metrics-open").pipeline(&text);
    let run = job.run().expect("it ends");
    assert!(run.status.success(), "{}", run.told());
    for said in ["WARN", "there is no login", "answering at http://0.0.0.0:"] {
        assert!(run.stderr.contains(said), "{said}: {}", run.told());
    }
    let wrong = Job::new(kafka::shared(), "metrics-open").pipeline(&text.replace("listen", "listne"));
    let run = wrong.run().expect("it ends");
    assert_eq!(run.status.code(), Some(2), "{}", run.told());
    assert!(run.stderr.contains("did you mean `listen`"), "{}", run.told());
}
