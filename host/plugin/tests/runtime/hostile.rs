//! Guests that misbehave: each call ends in time, with an error that says whose call it
//! was, and the instance is not used again.

use std::time::{Duration, Instant};

use crate::support::{CONTEXT, Guest};
use speed_layer_core::records::Records;
use speed_layer_plugin::{
    Clause, Clock, ColumnFault, Limits, Parsed, Plugin, PluginError, Runtime, RuntimeOptions,
};

const ENDLESS: &str = "(loop $again (br $again)) (unreachable)";

fn limits() -> Limits {
    Limits { call_cpu_ms: 100, hostcall_bytes_max: 1 << 20, ..Limits::default() }
}

fn load(guest: &Guest) -> Plugin {
    let runtime = Runtime::new(RuntimeOptions { cache_dir: None, limits: limits() }).unwrap();
    runtime.load_bytes("hostile", &guest.component()).unwrap()
}

fn parse(guest: &Guest) -> Result<Parsed, PluginError> {
    load(guest).open_parse("{}", &[])?.parse(&CONTEXT, &Records::default())
}

fn check(guest: &Guest, callback: &str, expected: impl FnOnce(&PluginError) -> bool) {
    let began = Instant::now();
    let error = parse(guest).expect_err(callback);
    assert!(expected(&error), "{error:?}");
    let text = error.to_string();
    for part in ["plugin hostile (sha256:", &format!("parse.{callback}:")] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains('\n'), "{text}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

fn overran(error: &PluginError) -> bool {
    matches!(error, PluginError::Deadline { clock: Clock::Cpu, budget_ms: 100, .. })
}

fn trapped(error: &PluginError) -> bool {
    matches!(error, PluginError::Trap { .. })
}

fn broke(clause: &Clause) -> impl FnOnce(&PluginError) -> bool {
    move |error| matches!(error, PluginError::Contract { clause: found, .. } if **found == *clause)
}

#[test]
fn a_call_without_an_end_is_ended_wherever_it_is() {
    check(&Guest { describe: ENDLESS, ..Guest::default() }, "describe", overran);
    check(&Guest { open: ENDLESS, ..Guest::default() }, "open", overran);
    check(&Guest { parse: ENDLESS, ..Guest::default() }, "parse", overran);
    let start = "(func $start (loop $again (br $again))) (start $start)";
    check(&Guest { extra: start, ..Guest::default() }, "instantiate", overran);
    let filling = "(loop $again (memory.fill (i32.const 0) (i32.const 0) (i32.const 131072)) (br $again)) \
                   (unreachable)";
    check(&Guest { parse: filling, ..Guest::default() }, "parse", overran);
    let logging =
        "(loop $again (call $log (i32.const 0) (i32.const 0) (i32.const 0)) (br $again)) (unreachable)";
    check(&Guest { parse: logging, ..Guest::default() }, "parse", overran);
}

#[test]
fn a_trap_says_what_the_guest_did() {
    let reason =
        |part: &'static str| move |error: &PluginError| trapped(error) && error.to_string().contains(part);
    check(&Guest { parse: "(unreachable)", ..Guest::default() }, "parse", reason("unreachable"));
    let outside = "(i32.load (i32.const 131072))";
    check(&Guest { parse: outside, ..Guest::default() }, "parse", reason("out of bounds"));
    let deep = "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    let recursion = Guest { extra: deep, parse: "(call $deep (local.get 0))", ..Guest::default() };
    check(&recursion, "parse", reason("call stack exhausted"));
}

#[test]
fn memory_and_tables_end_at_their_limits() {
    let bomb =
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 256)) (i32.const -1)))) (unreachable)";
    let over = |setting: &'static str| move |error: &PluginError| matches!(error, PluginError::MemoryLimit { setting: found, .. } if *found == setting);
    check(&Guest { parse: bomb, ..Guest::default() }, "parse", over("memory_bytes_max"));
    let table = "(table $t 1 funcref)";
    let grown = "(drop (table.grow $t (ref.null func) (i32.const 100000000))) (unreachable)";
    let tables = Guest { extra: table, parse: grown, ..Guest::default() };
    check(&tables, "parse", over("table_elements_max"));
    let large = Guest { extra: "(table $t 30000 funcref)", ..Guest::default() };
    check(&large, "instantiate", over("table_elements_max"));
}

#[test]
fn a_guest_that_lives_with_a_refused_growth_goes_on() {
    let refused = "(drop (memory.grow (i32.const 60000))) (i32.const 1024)";
    // Zeros are no valid rejects, so the call gets as far as the contract's own checks.
    check(&Guest { parse: refused, ..Guest::default() }, "parse", |error| {
        matches!(error, PluginError::Contract { .. })
    });
}

#[test]
fn values_that_do_not_have_the_contracts_form_are_refused() {
    let form = |error: &PluginError| matches!(error, PluginError::Contract { clause, .. } if matches!(**clause, Clause::Form { .. }));
    check(&Guest { parse: "(i32.const 131068)", ..Guest::default() }, "parse", form);
    let unaligned = Guest { parse: "(i32.const 1025)", ..Guest::default() };
    check(&unaligned, "parse", form);
    let no_such_case = "(i32.store8 (i32.const 1024) (i32.const 7)) (i32.const 1024)";
    check(&Guest { parse: no_such_case, ..Guest::default() }, "parse", form);
    let list_outside = "(i32.store8 (i32.const 1040) (i32.const 1)) (i32.store (i32.const 1044) (i32.const 131000)) \
                        (i32.store (i32.const 1048) (i32.const 1000)) (i32.const 1024)";
    check(&Guest { parse: list_outside, ..Guest::default() }, "parse", form);
}

#[test]
fn a_call_that_returns_more_than_its_bytes_is_refused() {
    // The list of origins, 4 bytes each, over memory that is really there.
    let large = "(drop (memory.grow (i32.const 256))) (i32.store8 (i32.const 1040) (i32.const 1)) \
                 (i32.store (i32.const 1048) (i32.const 1000000)) (i32.const 1024)";
    let guest = Guest { parse: large, ..Guest::default() };
    check(&guest, "parse", broke(&Clause::TooManyBytes { max: 1 << 20 }));
}

#[test]
fn rows_and_rejects_that_break_a_clause_are_refused() {
    let fault = ColumnFault::OffsetCount { expected: 1, found: 0 };
    check(&Guest::default(), "parse", broke(&Clause::RejectText { part: "kinds", fault }));
    let rows = "(i32.store (i32.const 1028) (i32.const -1)) (i32.store (i32.const 1064) (i32.const 1)) \
                (i32.store (i32.const 1080) (i32.const 1)) (i32.const 1024)";
    let max = limits().output_rows_max;
    let too_many = Clause::TooManyRows { max, found: u32::MAX as usize };
    check(&Guest { parse: rows, ..Guest::default() }, "parse", broke(&too_many));
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
        let options = RuntimeOptions { cache_dir: Some(dir.path().to_owned()), limits: limits() };
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
