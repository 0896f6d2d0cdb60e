//! What is left of a guest that failed, what it can make the host say, and what the host keeps of it on
//! disk. How each call of a guest that means ill ends is in the tests `hostile`.

use crate::support::{CONTEXT, Guest};
use speed_layer_core::records::Records;
use speed_layer_plugin::{Limits, Parsed, Plugin, PluginError, Runtime, RuntimeOptions};

fn load(guest: &Guest) -> Plugin {
    let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
    runtime.load_bytes("hostile", &guest.component()).unwrap()
}

fn parse(guest: &Guest) -> Result<Parsed, PluginError> {
    load(guest).open_parse("{}", &[])?.parse(&CONTEXT, &Records::default())
}

fn check(guest: &Guest, callback: &str, expected: impl FnOnce(&PluginError) -> bool) {
    let error = parse(guest).expect_err(callback);
    assert!(expected(&error), "{error:?}");
    let text = error.to_string();
    for part in ["plugin hostile (sha256:", &format!("parse.{callback}:")] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains('\n'), "{text}");
}

fn trapped(error: &PluginError) -> bool {
    matches!(error, PluginError::Trap { .. })
}

#[test]
fn an_instance_that_failed_is_not_used_again_and_a_fresh_one_is_whole() {
    let plugin = load(&Guest { parse: "(unreachable)", ..Guest::default() });
    for _ in 0..2 {
        let mut parser = plugin.open_parse("{}", &[]).unwrap();
        let mut call = || parser.parse(&CONTEXT, &Records::default()).unwrap_err();
        assert!(trapped(&call()));
        assert!(matches!(call(), PluginError::Spent { .. }));
    }
}

#[test]
fn a_refusal_and_a_failure_carry_the_plugins_words_without_control_characters() {
    let words = "(data (i32.const 2048) \"\\1b[1mno\")";
    let refuse = "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store (i32.const 1032) (i32.const 2048)) \
                  (i32.store (i32.const 1036) (i32.const 6)) (i32.const 1024)";
    let refused = Guest { extra: words, open: refuse, ..Guest::default() };
    check(&refused, "open", |error| {
        matches!(error, PluginError::Refused { .. }) && error.to_string().contains("\\u{1b}[1mno")
    });
    let failed = Guest { extra: words, parse: refuse, ..Guest::default() };
    check(
        &failed,
        "parse",
        |error| matches!(error, PluginError::RetryBatch { message, .. } if message == "\\u{1b}[1mno"),
    );
}

/// What the host's log holds after `run`.
fn logged(run: impl FnOnce()) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let writer = file.reopen().unwrap();
    let log = tracing_subscriber::fmt().with_writer(std::sync::Mutex::new(writer)).with_ansi(false).finish();
    tracing::subscriber::with_default(log, run);
    std::fs::read_to_string(file.path()).unwrap()
}

#[test]
fn a_guests_messages_are_cut_escaped_counted_and_signed() {
    // 250 messages of 8 KiB: an escape character, then zeros.
    let flood = "(local $n i32) (loop $again \
                 (call $log (i32.const 2) (i32.const 8192) (i32.const 8192)) \
                 (local.set $n (i32.add (local.get $n) (i32.const 1))) \
                 (br_if $again (i32.lt_u (local.get $n) (i32.const 250)))) (unreachable)";
    let guest = Guest { extra: "(data (i32.const 8192) \"\\1b[2J\")", parse: flood, ..Guest::default() };
    let log = logged(|| check(&guest, "parse", trapped));
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 101);
    let zeros = "\\u{0}".repeat((4 << 10) - 4);
    for line in &lines[..100] {
        assert!(line.contains(" WARN plugin: \\u{1b}[2J") && line.contains(&zeros), "{}", &line[..200]);
        assert!(line.contains("plugin=hostile digest=") && line.len() < 21 << 10, "{}", line.len());
    }
    assert!(lines[100].contains("lost=150"), "{}", lines[100]);
}

#[test]
fn a_host_that_asks_for_what_is_not_there_does_not_blame_the_plugin() {
    let plugin = load(&Guest::default());
    for wanted in [&[0_u32] as &[u32], &[1, 0]] {
        let error = plugin.open_parse("{}", wanted).err().unwrap();
        assert!(matches!(error, PluginError::Input { .. }), "{error:?}");
    }
    let input = arrow_schema::SchemaRef::new(arrow_schema::Schema::empty());
    let error = plugin.describe_transform("{}", &input).unwrap_err();
    assert!(matches!(error, PluginError::WrongStage { .. }), "{error:?}");
}

#[test]
fn compiled_code_is_found_again_and_damage_costs_only_time() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = Guest::default().component();
    let load = || {
        let options = RuntimeOptions { cache_dir: Some(dir.path().to_owned()), limits: Limits::default() };
        let plugin = Runtime::new(options).unwrap().load_bytes("cached", &bytes).unwrap();
        plugin.describe_parse("{}").unwrap();
    };
    let files = || -> Vec<_> { dir.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect() };
    load();
    let [file] = files().try_into().unwrap();
    let whole = std::fs::read(&file).unwrap();
    load();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    load();
    assert_eq!(files(), std::slice::from_ref(&file));
    assert_eq!(std::fs::read(&file).unwrap().len(), whole.len());
}
