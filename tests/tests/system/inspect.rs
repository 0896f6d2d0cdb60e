//! `host plugin inspect` says what a component is, and of a wrong file why it is none.

use std::fs;

use serde_json::Value;
use speed_layer_tests::components::{naughty, variant};
use speed_layer_tests::host::{self, Finished};
use speed_layer_tests::job::{LIMIT, new_folder};
use speed_layer_tests::places::plugin;

fn inspect(file: &str, extra: &[&str]) -> Finished {
    let words = [&["plugin", "inspect", file], extra].concat();
    host::run(&words, LIMIT).expect("it ends")
}

fn as_json(name: &str, extra: &[&str]) -> Value {
    let file = plugin(name).display().to_string();
    let finished = inspect(&file, &[&["--format", "json"], extra].concat());
    assert!(finished.status.success(), "{}", finished.told());
    serde_json::from_str(&finished.stdout).expect("one JSON value")
}

fn names(list: &Value) -> Vec<&str> {
    let entries = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    entries.iter().map(|entry| entry["name"].as_str().expect("each has a name")).collect()
}

#[test]
fn each_plugin_that_comes_with_the_product_is_described() {
    for (name, stage) in [
        ("ticker_json", "parse"),
        ("ticker_time", "transform"),
        ("ticker_json_quantity", "parse"),
        ("min_price", "transform"),
        ("ohlcv", "aggregate"),
        ("ohlcv_upticks", "aggregate"),
        ("vwap", "aggregate"),
    ] {
        let report = as_json(name, &[]);
        assert_eq!((&report["name"], &report["stage"]), (&name.into(), &stage.into()), "{report}");
        assert_eq!(report["contract"], "0.1.0", "{report}");
        let bytes = fs::metadata(plugin(name)).expect("it is built").len();
        assert_eq!(report["bytes"], bytes, "{report}");
        assert!(report["digest"].as_str().is_some_and(|digest| digest.len() >= 64), "{report}");
        let ours =
            |import: &Value| import.as_str().is_some_and(|name| name.starts_with("speed-layer:plugin/"));
        assert!(report["imports"].as_array().is_some_and(|all| all.iter().all(ours)), "{report}");
        let table = inspect(&plugin(name).display().to_string(), &[]);
        for word in [name, stage, "0.1.0", "digest", "imports", "output"] {
            assert!(table.stdout.contains(word), "{word}: {}", table.told());
        }
    }
}

#[test]
fn schemas_are_those_of_the_given_configuration() {
    let twelve = as_json("ticker_json", &[]);
    assert_eq!(names(&twelve["output"]).len(), 12, "{twelve}");
    let fields = r#"fields=[{"name":"at","type":"s64"},{"name":"level","type":"f64"}]"#;
    let own = as_json("ticker_json", &["--set", fields, "--set", "event_time=at"]);
    assert_eq!(names(&own["output"]), ["at", "level"]);
    let outputs = |prefix: &[&str]| {
        let report = as_json("ohlcv", prefix);
        names(&report["output"]).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(outputs(&[])[0], "daily_open");
    assert_eq!(outputs(&["--set", "prefix=hourly"])[0], "hourly_open");
}

#[test]
fn an_aggregate_tells_what_it_needs_and_what_its_state_is() {
    for (name, needed, outputs) in
        [("ohlcv", ["open", "high", "low"], 9), ("vwap", ["price", "volume", "price"], 4)]
    {
        let report = as_json(name, &[]);
        let needs = report["needs"].to_string();
        for column in needed {
            assert!(needs.contains(column), "{report}");
        }
        assert!(report["state"]["version"].as_u64() >= Some(1), "{report}");
        assert!(!names(&report["state"]["columns"]).is_empty(), "{report}");
        assert_eq!(names(&report["output"]).len(), outputs, "{report}");
    }
}

#[test]
fn a_wrong_file_or_setting_is_refused_in_a_sentence() {
    let folder = new_folder().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file in it");
        path.display().to_string()
    };
    let ohlcv = plugin("ohlcv").display().to_string();
    let cases: [(String, &[&str], &[&str]); 6] = [
        (folder.path().join("missing.wasm").display().to_string(), &[], &["no plugin file", "missing.wasm"]),
        (file("text.wasm", b"hello"), &[], &["text.wasm", "not WebAssembly"]),
        (file("core.wasm", b"\0asm\x01\0\0\0"), &[], &["core WebAssembly module", "plugin pack"]),
        (file("none.wasm", b"\0asm\x0d\0\x01\0"), &[], &["none.wasm", "parse, transform and aggregate"]),
        (ohlcv.clone(), &["--set", "prefix=7"], &["prefix"]),
        (ohlcv, &["--set", "prefxi=x"], &["prefxi"]),
    ];
    for (path, extra, told) in cases {
        let refused = inspect(&path, extra);
        assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
        assert!(refused.stdout.is_empty(), "{}", refused.told());
        for text in told {
            assert!(refused.stderr.contains(text), "`{text}`: {}", refused.told());
        }
    }
}

#[test]
fn a_component_is_not_packed_again_and_text_not_at_all() {
    let folder = new_folder().expect("a folder");
    let text = folder.path().join("text.wasm");
    fs::write(&text, "hello").expect("a file in it");
    for (path, told) in [(plugin("vwap"), "component already"), (text, "not WebAssembly")] {
        let out = folder.path().join("out.wasm");
        let words = ["plugin", "pack", &path.display().to_string(), "-o", &out.display().to_string()];
        let refused = host::run(&words, LIMIT).expect("it ends");
        assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
        assert!(refused.stderr.contains(told), "{}", refused.told());
        assert!(!out.exists());
    }
}

#[test]
fn a_component_made_of_another_one_is_described_as_that_one_with_a_digest_of_its_own() {
    let folder = new_folder().expect("a folder");
    let described = |name: &str, component: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, component).expect("a file in it");
        inspect(&path.display().to_string(), &["--format", "json"])
    };
    let report = |name: &str, component: &[u8]| {
        let finished = described(name, component);
        serde_json::from_str::<Value>(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.told()))
    };
    let ohlcv = as_json("ohlcv", &[]);
    let bytes = fs::read(plugin("ohlcv")).expect("it is built");
    let idle = naughty("nothing update").expect("it is built");
    let made = [variant(&bytes, "1"), variant(&bytes, "2"), idle];
    let digests = made.map(|component| {
        let made = report("made.wasm", &component);
        for told in ["stage", "needs", "state", "output"] {
            assert_eq!(made[told], ohlcv[told], "{told}");
        }
        made["digest"].to_string()
    });
    assert!(digests[0] != digests[1] && !digests.contains(&ohlcv["digest"].to_string()), "{digests:?}");
    let trapped = described("trap.wasm", &naughty("trap describe").expect("it is built"));
    assert!(trapped.stderr.contains("trapped"), "{}", trapped.told());
    assert_eq!(report("v2.wasm", &naughty("nothing migrate").expect("it is built"))["state"]["version"], 2);
}
