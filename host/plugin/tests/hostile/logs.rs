//! What a guest can do to the host's log: one line of bounded length without a control character, from any function.

use std::sync::Mutex;

use crate::calls;
use crate::check::{alone, limits, runtime};
use crate::guest::{Does, component};
use speed_layer_plugin::Limits;

/// 10 MB of escape characters, then the good answer.
const TEN_MEGABYTES: &str = "(drop (memory.grow (i32.const 200))) \
                             (memory.fill (i32.const 131072) (i32.const 27) (i32.const 10000000)) \
                             (call $log (i32.const 3) (i32.const 131072) (i32.const 10000000)) (i32.const $good)";
/// As much as is kept of a message.
const KEPT: usize = 4 << 10;

/// What the host's log holds after `run`.
fn logged(run: impl FnOnce()) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let writer = Mutex::new(file.reopen().unwrap());
    let log = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).finish();
    tracing::subscriber::with_default(log, run);
    std::fs::read_to_string(file.path()).unwrap()
}

#[test]
fn a_message_of_10_mb_of_escape_sequences_is_one_bounded_line_from_any_function() {
    let _alone = alone();
    let runtime = runtime(Limits { hostcall_bytes_max: 16 << 20, call_cpu_ms: 2_000, ..limits() });
    for call in calls::all() {
        let component = component(call.stage, Some((call, &Does::body(TEN_MEGABYTES))), "");
        let plugin = runtime.load_bytes("hostile", &component).unwrap();
        let log = logged(|| call.make(&plugin).unwrap_or_else(|error| panic!("{call}: {error}")));
        // A plugin is described before it is opened, and asked for its states' form.
        assert!((1..=3).contains(&log.lines().count()), "{call}: {} lines", log.lines().count());
        for line in log.lines() {
            assert!(line.contains("ERROR plugin: \\u{1b}\\u{1b}"), "{call}: {}", &line[..100]);
            assert!(line.contains("plugin=hostile digest="), "{call}");
            assert_eq!(line.matches("\\u{1b}").count(), KEPT, "{call}");
            assert!(!line.contains('\u{1b}'), "{call}");
        }
    }
}
