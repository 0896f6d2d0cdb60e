//! What the job's tables hold is told over HTTP as `host query` tells it: windows, groups and dead letters.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use speed_layer_tests::asked;
use speed_layer_tests::http::{Reply, await_reply, get};

use super::metrics::settled;

/// As a part of a query.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn list(reply: &Reply, name: &str) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()[name].as_array().unwrap_or_else(|| panic!("{reply:?}")).clone()
}

#[test]
fn windows_are_those_of_host_query_newest_first() {
    let (job, _running, address) = settled("dashboard-windows");
    let path = "/api/aggregates/daily/windows";
    let told = get(&address, path).expect("an answer");
    assert_eq!(told.json()["key"], json!(["symbol"]));
    let sql = "SELECT * FROM daily_live ORDER BY window_start DESC, symbol LIMIT 100";
    let expected = asked::rows(&job, sql).expect("an answer");
    let mut windows = list(&told, "windows");
    let states: BTreeSet<String> = windows.iter().map(|row| row["window_state"].to_string()).collect();
    assert_eq!(states.len(), 2, "some are open and some are closed: {states:?}");
    let open = asked::rows(&job, "SELECT symbol, window_start FROM daily_open").expect("an answer");
    for row in &mut windows {
        let of = row.as_object_mut().expect("an object");
        let state = of.remove("window_state").expect("a state");
        let is_open = open
            .iter()
            .any(|open| open["symbol"] == of["symbol"] && open["window_start"] == of["window_start"]);
        assert_eq!(state, if is_open { "open" } else { "closed" }, "{of:?}");
    }
    assert_eq!(windows, expected.into_iter().map(Value::Object).collect::<Vec<_>>());
    let key = escaped("{\"symbol\":\"BTCUSDT\"}");
    let of_one = list(&get(&address, &format!("{path}?limit=3&key={key}")).expect("an answer"), "windows");
    assert_eq!(of_one.len(), 3);
    assert!(of_one.iter().all(|row| row["symbol"] == "BTCUSDT"), "{of_one:?}");
    assert!(of_one.windows(2).all(|two| two[0]["window_start"].as_str() > two[1]["window_start"].as_str()));
    let nobody = escaped("{\"symbol\":\"'; DROP TABLE daily; --\"}");
    assert!(list(&get(&address, &format!("{path}?key={nobody}")).expect("an answer"), "windows").is_empty());
}

#[test]
fn groups_and_dead_letters_are_told_with_their_bytes() {
    let (job, _running, address) = settled("dashboard-letters");
    let groups = list(&get(&address, "/api/aggregates/daily/groups").expect("an answer"), "groups");
    let symbols: BTreeSet<&str> = groups.iter().filter_map(|row| row["symbol"].as_str()).collect();
    let expected = asked::rows(&job, "SELECT DISTINCT symbol FROM daily").expect("an answer");
    assert_eq!(symbols, expected.iter().filter_map(|row| row["symbol"].as_str()).collect());
    let letters = list(&get(&address, "/api/dead-letters?limit=50").expect("an answer"), "dead_letters");
    assert_eq!(letters.len(), 50);
    let kept = job.dead_letters();
    for letter in letters {
        let place = (letter["partition"].as_i64(), letter["offset"].as_i64());
        let of = kept
            .iter()
            .find(|of| (Some(i64::from(of.partition)), Some(of.offset)) == place)
            .expect("it is kept");
        let bytes = of.value.as_ref().map(|value| STANDARD.encode(value));
        assert_eq!((letter["value_base64"].as_str(), &letter["kind"]), (bytes.as_deref(), &json!(of.kind)));
        assert_eq!(letter["value_bytes"].as_u64(), of.value.as_ref().map(|value| value.len() as u64));
        assert_eq!(letter["plugin_digest"].as_str(), of.plugin_digest.as_deref());
    }
}

#[test]
fn commits_after_an_epoch_are_those() {
    let (_job, _running, address) = settled("dashboard-commits");
    let all = get(&address, "/api/commits").expect("an answer").json();
    let epoch = |of: &Value| of["epoch"].as_u64().expect("a number");
    let all: Vec<u64> = all.as_array().expect("a list").iter().map(epoch).collect();
    let after = all[all.len() / 2];
    let later =
        await_reply(&address, &format!("/api/commits?after={after}"), |reply| reply.status == 200).json();
    let later: Vec<u64> = later.as_array().expect("a list").iter().map(epoch).collect();
    let expected: Vec<u64> = all.into_iter().filter(|epoch| *epoch > after).collect();
    assert!(!expected.is_empty() && later.starts_with(&expected), "{later:?}");
}
