//! A swap asked for over HTTP: the same plan, report and outcome as over the control socket, line by line, and one at a
//! time.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;
use speed_layer_tests::components::{naughty, variant};
use speed_layer_tests::http::{Reply, await_reply, get, say};
use speed_layer_tests::places;

use super::LIMIT;
use super::metrics::{TOKEN, settled};
use super::swaps::{AGGREGATE, plugin};

fn request(address: &str, query: &str, component: &[u8]) -> Vec<u8> {
    let bytes = component.len();
    let head = format!(
        "POST /api/swap?stage={AGGREGATE}&name=new&{query} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n\
         Authorization: Bearer {TOKEN}\r\nContent-Length: {bytes}\r\n\r\n"
    );
    [head.as_bytes(), component].concat()
}

fn swap(address: &str, query: &str, component: &[u8]) -> Reply {
    say(address, &request(address, query, component)).expect("an answer")
}

fn digest(address: &str) -> Value {
    get(address, "/api/plugins").expect("an answer").json()[2]["digest"].clone()
}

#[test]
fn a_plugin_is_looked_at_swapped_in_and_put_back() {
    let (_job, running, address) = settled("dashboard-swapped");
    let (before, new) = (digest(&address), variant(&plugin("ohlcv"), "another"));
    let dry = swap(&address, "mode=dry-run", &new);
    assert_eq!((dry.status, dry.header("content-type")), (200, Some("application/x-ndjson")));
    let lines = dry.lines();
    assert_eq!((lines.len(), &lines[0]["plan"]["change"]), (1, &"live".into()), "{lines:?}");
    assert_eq!(digest(&address), before);
    let lines = swap(&address, "mode=promote", &new).lines();
    let done = &lines.last().expect("a line")["done"];
    assert_eq!((lines.len(), &done["outcome"]), (2, &"swapped".into()), "{lines:?}");
    assert!(done["asked_by"].as_str().is_some_and(|by| by == "the dashboard at 127.0.0.1"), "{done}");
    await_reply(&address, "/api/plugins", |reply| reply.json()[2]["digest"] == done["to"]["digest"]);
    let lines = swap(&address, "mode=back", b"").lines();
    assert_eq!(lines.last().expect("a line")["done"]["to"]["digest"], before, "{lines:?}");
    let history = get(&address, "/api/swaps").expect("an answer").json();
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
}

#[test]
fn one_that_fails_on_probation_is_told_as_such_and_the_old_one_goes_on() {
    let (_job, _running, address) = settled("dashboard-failing");
    let before = digest(&address);
    let lines = swap(&address, "mode=promote", &naughty("trap finish").expect("the guest is built")).lines();
    let last = lines.last().expect("a line");
    assert!(last["done"]["outcome"] == "rolled_back" || last["done"]["outcome"] == "refused", "{lines:?}");
    assert_eq!(digest(&address), before);
    let upticks = fs::read(places::plugin("ohlcv_upticks")).expect("it is built");
    let plan = swap(&address, "mode=dry-run", &upticks).lines();
    assert_eq!(plan[0]["plan"]["change"], "migrate", "{plan:?}");
}

#[test]
fn another_swap_meanwhile_is_refused_and_one_that_nobody_waits_for_ends() {
    let (_job, _running, address) = settled("dashboard-busy");
    let new = variant(&plugin("ohlcv"), "another");
    // Nothing comes in, so that the run beside the stream waits.
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.write_all(&request(&address, "mode=shadow&batches=5", &new)).expect("it reads");
    let mut lines = BufReader::new(stream).lines();
    let shadowing = |line: &String| line.contains("shadowing");
    lines.by_ref().map(|line| line.expect("a line")).find(shadowing).expect("it runs beside the stream");
    let busy = swap(&address, "mode=promote", &new);
    assert_eq!(busy.status, 409, "{busy:?}");
    assert!(
        busy.body.contains("another swap is under way") && busy.body.contains("the dashboard"),
        "{busy:?}"
    );
    drop(lines);
    let ended = await_reply(&address, "/api/swaps", |reply| reply.json()[0]["outcome"] == "shadow_failed");
    assert!(ended.json()[0]["why"].as_str().is_some_and(|why| why.contains("has gone")), "{ended:?}");
    // Its line is written a moment before the next one may begin.
    let swapped = (0..1_000).map(|_| swap(&address, "mode=promote", &new)).find(|reply| reply.status != 409);
    let lines = swapped.expect("the first has ended").lines();
    assert_eq!(lines.last().expect("a line")["done"]["outcome"], "swapped", "{lines:?}");
}
