//! Who is not let in over HTTP, and what is not taken: other names, other pages, no token or a wrong one, bodies that are
//! no plugin, too large, cut or of no length. Each is told why, and the job goes on.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use speed_layer_tests::components::variant;
use speed_layer_tests::host::Running;
use speed_layer_tests::http::{Reply, await_reply, get, read, say};
use speed_layer_tests::job::{DAILY, Job};
use speed_layer_tests::kafka;
use speed_layer_tests::places;

use super::LIMIT;
use super::metrics::{TOKEN, VARIABLE, start};

/// A job that runs, idle.
fn running(topic: &str, token: Option<&str>) -> (Job, Running, String) {
    kafka::shared().create_topic(topic, 1, &[]).expect("a new name");
    let job = Job::new(kafka::shared(), topic)
        .set("--trigger", "100ms")
        .variable(VARIABLE, token.unwrap_or_default());
    let (running, address) = start(&job);
    await_reply(&address, "/ready", |reply| reply.status == 200);
    (job, running, address)
}

/// A swap of the aggregate with these headers besides, and this body.
fn swap(address: &str, query: &str, headers: &str, body: &[u8]) -> Reply {
    let head = format!("POST /api/swap?{query} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    say(address, &[head.as_bytes(), body].concat()).expect("an answer")
}

fn with_token(body: &[u8]) -> String {
    format!("Authorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n", body.len())
}

fn check(reply: &Reply, status: u16, says: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.json()["error"].as_str().expect("a reason").contains(says), "{says}: {reply:?}");
    assert!(!reply.body.contains(TOKEN), "{reply:?}");
}

#[test]
fn a_name_that_nobody_gave_the_job_is_not_answered_to() {
    let topic = "dashboard-names";
    kafka::shared().create_topic(topic, 1, &[]).expect("a new name");
    let text = format!("{DAILY}[http]\nlisten = \"127.0.0.1:0\"\nallowed_hosts = [\"stream.example\"]\n");
    let job = Job::new(kafka::shared(), topic).pipeline(&text).set("--trigger", "1h");
    let mut running = job.start().expect("it starts");
    let line = running.wait_for("answering at http://", LIMIT).expect("it says where");
    let address =
        line.rsplit("http://").next().and_then(|rest| rest.split_whitespace().next()).expect("an address");
    let as_host = |host: &str| {
        say(address, format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).expect("an answer")
    };
    for ours in ["localhost", "127.0.0.1:99", "[::1]:8080", "10.0.0.1", "stream.example:443"] {
        assert_eq!(as_host(ours).status, 200, "{ours}");
    }
    for other in ["evil.example", "localhost.evil.example", "stream.example.evil.example:8080"] {
        check(&as_host(other), 421, "allowed_hosts");
    }
    let guarded = get(address, "/").expect("an answer");
    for (name, value) in [
        ("content-security-policy", "default-src 'self'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert!(guarded.header(name).is_some_and(|found| found.contains(value)), "{name}: {guarded:?}");
    }
    assert_eq!(guarded.header("access-control-allow-origin"), None);
}

#[test]
fn without_the_token_nothing_is_changed_and_nothing_is_read() {
    let (_job, without, address) = running("dashboard-no-token", None);
    let query = "stage=parse&mode=dry-run";
    check(&swap(&address, query, &with_token(b"x"), b"x"), 403, VARIABLE);
    assert_eq!(get(&address, "/api/status").expect("an answer").json()["swap_over_http"], false);
    drop(without);
    let (_job, mut running, address) = running("dashboard-token", Some(TOKEN));
    assert_eq!(get(&address, "/api/status").expect("an answer").json()["swap_over_http"], true);
    for (header, status, says) in [
        ("", 401, "a token is needed"),
        ("Authorization: Bearer correct-horse-battery-stapl\r\n", 401, "not the one"),
        ("Authorization: Bearer correct-horse-battery-staplE\r\n", 401, "not the one"),
        ("Authorization: Basic Y29ycmVjdA==\r\n", 401, "a token is needed"),
    ] {
        // The body is not waited for: it would never come.
        let reply = swap(&address, query, &format!("{header}Content-Length: 1000000\r\n"), b"");
        check(&reply, status, says);
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let headers = format!("{}Origin: {origin}\r\n", with_token(b"x"));
        check(&swap(&address, query, &headers, b"x"), 403, "a page of another host");
    }
    running.signal("TERM").expect("it runs");
    running.wait_for("asked to stop", LIMIT).expect("it hears");
    let run = running.finish(LIMIT).expect("it ends");
    run.summary().expect("it ends well");
    assert!(!run.told().contains(TOKEN), "{}", run.told());
}

#[test]
fn a_body_that_is_no_plugin_too_large_cut_or_of_no_length_is_told_what_is_wrong() {
    let (job, running, address) = running("dashboard-bodies", Some(TOKEN));
    let plugin = |name: &str| fs::read(places::plugin(name)).expect("it is built");
    let authorized = format!("Authorization: Bearer {TOKEN}\r\n");
    let aggregate = "stage=aggregate:daily&mode=promote";
    for (length, status, says) in [
        ("", 411, "Content-Length"),
        ("Content-Length: 99999999999\r\n", 413, "99999999999 bytes"),
        ("Content-Length: 16777217\r\n", 413, "more than the 16777216"),
        ("Content-Length: many\r\n", 400, "no number"),
        ("Transfer-Encoding: chunked\r\n", 501, "in one piece"),
    ] {
        check(&swap(&address, aggregate, &format!("{authorized}{length}"), b""), status, says);
    }
    check(&cut(&address, aggregate), 400, "cut: 7 of its 1000 bytes came");
    let same = plugin("ohlcv");
    let parser = plugin("ticker_json");
    let broken = &variant(&same, "cut")[..same.len() / 2];
    for (query, body, status, says) in [
        (aggregate, &b"GIF89a"[..], 422, "not WebAssembly"),
        (aggregate, broken, 422, "uploaded"),
        (aggregate, &parser[..], 422, "aggregat"),
        (aggregate, &same[..], 422, "already"),
        ("stage=aggregate:weekly&mode=promote", &same[..], 422, "weekly"),
        ("stage=frobnicate&mode=promote", &same[..], 422, "no stage"),
        ("mode=promote", b"x", 400, "which stage"),
        ("stage=parse", b"x", 400, "dry-run, shadow, promote"),
        ("stage=parse&mode=promote", b"", 400, "the body is the new plugin"),
        ("stage=parse&mode=back", b"x", 400, "there is none"),
        ("stage=parse&mode=back", b"", 422, "no other plugin"),
        ("stage=parse&mode=shadow&batches=0", b"x", 400, "`batches`"),
        ("stage=parse&mode=dry-run&windows=burn", b"x", 400, "`windows`"),
        ("stage=parse&mode=dry-run&name=%1b%5b2J", b"x", 400, "`name`"),
    ] {
        check(&swap(&address, query, &with_token(body), body), status, says);
    }
    assert_eq!(get(&address, "/ready").expect("an answer").status, 200);
    assert_eq!(get(&address, "/api/swaps").expect("an answer").json(), serde_json::json!([]));
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    drop(job);
}

/// A body that ends before its length.
fn cut(address: &str, query: &str) -> Reply {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!(
        "POST /api/swap?{query} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n7 bytes"
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut said = String::new();
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.read_to_string(&mut said).expect("an answer");
    read(&said).expect("an answer")
}

#[test]
fn whoever_waits_with_the_body_is_told_to_go_on_only_with_the_token() {
    let (_job, _running, address) = running("dashboard-continue", Some(TOKEN));
    let head = |token: &str| {
        format!(
            "POST /api/swap?stage=parse&mode=dry-run HTTP/1.1\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
    };
    check(&say(&address, head("wrong").as_bytes()).expect("an answer"), 401, "not the one");
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.write_all(head(TOKEN).as_bytes()).expect("it reads");
    let mut told = [0; 25];
    stream.read_exact(&mut told).expect("it tells to go on");
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"GIF").expect("it reads");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer");
    check(&read(&said).expect("an answer"), 422, "not WebAssembly");
}

#[test]
fn a_token_that_could_be_guessed_ends_the_job_before_anything_is_read() {
    let job = Job::at("127.0.0.1:1", "never-read").set("--http", "127.0.0.1:0").variable(VARIABLE, "hunter2");
    let run = job.run().expect("it ends");
    assert_eq!(run.status.code(), Some(1), "{}", run.told());
    assert!(run.stderr.contains(VARIABLE) && run.stderr.contains("16"), "{}", run.told());
    assert!(!run.told().contains("hunter2"), "{}", run.told());
    assert!(!job.path("checkpoint").exists());
}
