//! An aggregate that is up to one mischief, through the runtime: what the host sees of each.

use speed_layer_plugin::{Limits, Plugin, PluginError, Runtime, RuntimeOptions};

use crate::line::{Line, line, line_of, numbers};
use crate::support::{CONTEXT, built_file};

const MARK: &[u8] = b"naughty guest up to: ";

/// The guest with the text of its mischief in the place of the built one.
fn naughty(mischief: &str) -> Plugin {
    let mut component = std::fs::read(built_file("test-plugins", "naughty")).unwrap();
    let built = [MARK, b"nothing update"].concat();
    let place = component.windows(built.len()).position(|bytes| bytes == built).unwrap() + MARK.len();
    let text = format!("{mischief:30}");
    component[place..place + text.len()].copy_from_slice(text.as_bytes());
    let limits = Limits { call_cpu_ms: 200, memory_bytes_max: 64 << 20, ..Limits::default() };
    let runtime = Runtime::new(RuntimeOptions { cache_dir: None, limits }).unwrap();
    runtime.load_bytes("naughty", &component).unwrap()
}

/// All calls of an aggregate in the order in which a swap makes them.
fn run(plugin: &Plugin) -> Result<(Line, f64), PluginError> {
    let mut old = line("ohlcv", 30);
    let states = old.update(0, 30, &old.identities(3));
    let mut new = line_of(plugin, 60)?;
    let from = &old.description.state;
    let states = match new.description.state.version == from.version {
        true => states,
        false => new.aggregate.migrate(from.version, &from.schema, &states)?,
    };
    let updated = new.try_update(30, 60, &new.identities(3))?;
    let merged = new.aggregate.merge(&CONTEXT, &states, &updated)?;
    let ticks = numbers(&new.try_finish(&merged)?.rows, 0)["tick_count"];
    Ok((new, ticks))
}

fn check(mischief: &str, expected: impl FnOnce(&PluginError) -> bool) {
    let error = run(&naughty(mischief)).err().unwrap_or_else(|| panic!("{mischief}: nothing failed"));
    let call = mischief.split(' ').nth(1).unwrap();
    assert!(error.to_string().contains(&format!("aggregate.{call}:")), "{mischief}: {error}");
    assert!(expected(&error), "{mischief}: {error}");
}

#[test]
fn up_to_nothing_it_is_ohlcv() {
    let (new, ticks) = run(&naughty("nothing update")).unwrap();
    let ohlcv = line("ohlcv", 1).description;
    assert_eq!((new.description, ticks), (ohlcv, 20.0));
}

#[test]
fn one_that_is_to_misbehave_in_migrate_has_another_version_and_can_migrate_well() {
    let (new, ticks) = run(&naughty("nothing migrate")).unwrap();
    let ohlcv = line("ohlcv", 1).description;
    assert_eq!((new.description.state.version, ticks), (2, 20.0));
    assert_eq!(new.description.state.schema, ohlcv.state.schema);
}

/// What is done does not depend on the call, so each action and each call occur, but not all pairs.
#[test]
fn a_call_can_trap_hang_hoard_refuse_or_miscount() {
    for call in ["describe", "open", "migrate", "update", "finish"] {
        check(&format!("trap {call}"), |error| matches!(error, PluginError::Trap { .. }));
    }
    check("loop migrate", |error| matches!(error, PluginError::Deadline { .. }));
    check("hoard update", |error| matches!(error, PluginError::MemoryLimit { .. }));
    check("refuse open", |error| matches!(error, PluginError::Refused { .. }));
    check("refuse merge", |error| matches!(error, PluginError::StopJob { .. }));
    check("retry update", |error| matches!(error, PluginError::RetryBatch { .. }));
    check("miscount migrate", |error| matches!(error, PluginError::Contract { .. }));
    check("miscount finish", |error| matches!(error, PluginError::Contract { .. }));
}

#[test]
fn a_lie_is_one_tick_more_a_call() {
    for call in ["update", "finish"] {
        assert_eq!(run(&naughty(&format!("lie {call}"))).unwrap().1, 21.0, "{call}");
    }
}

#[test]
fn the_calls_before_go_well() {
    let (mut line, _) = run(&naughty("trap update 2")).unwrap();
    let states = line.update(0, 30, &line.identities(3));
    let error = line.try_update(0, 30, &states).unwrap_err();
    assert!(matches!(error, PluginError::Trap { .. }), "{error}");
}
