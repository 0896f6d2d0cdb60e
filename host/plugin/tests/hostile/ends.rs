//! Guests that do not end, take what they may not have, or trap: in every function, and before the first one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::calls;
use crate::check::{Ending, check};
use crate::guest::Does;

const ENDLESS: &str = "(loop $again (br $again)) (unreachable)";
/// Nearly all the memory that an instance may have, filled again and again by one instruction.
const FILLING: &str = "(drop (memory.grow (i32.const 900))) (loop $again \
                       (memory.fill (i32.const 131072) (i32.const 1) (i32.const 58000000)) (br $again)) (unreachable)";
const LOGGING: &str =
    "(loop $again (call $log (i32.const 0) (i32.const 70000) (i32.const 60000)) (br $again)) (unreachable)";
const BOMB: &str =
    "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
/// As much memory as an instance may have, all of it written to, and then some.
const TOUCHING_BOMB: &str = "(drop (memory.grow (i32.const 1000))) (memory.fill (i32.const 131072) (i32.const 1) (i32.const 65000000)) \
     (drop (memory.grow (i32.const 1000))) (unreachable)";
const TABLE_BOMB: &str = "(drop (table.grow $t (ref.null func) (i32.const 100000000))) (unreachable)";

/// The same in every function; `$again` and the like are names of WebAssembly text.
fn everywhere(case: &str, body: &str, extra: &str, expected: &Ending) {
    for call in calls::all() {
        check(case, call, &Does::body(body), extra, expected);
    }
}

#[test]
fn a_call_without_an_end_is_ended_within_its_time() {
    everywhere("an endless loop", ENDLESS, "", &Ending::Overran);
    everywhere("bulk memory without an end", FILLING, "", &Ending::Overran);
    everywhere("host calls without an end", LOGGING, "", &Ending::Overran);
    let calling = "(func $one (call $other)) (func $other)";
    everywhere(
        "calls without an end",
        "(loop $again (call $one) (br $again)) (unreachable)",
        calling,
        &Ending::Overran,
    );
}

#[test]
fn an_instance_that_never_starts_is_ended_within_its_time() {
    let start = "(func $start (loop $again (br $again))) (start $start)";
    for call in calls::all() {
        check("an endless start", call, &Does::body("(unreachable)"), start, &Ending::AtStart);
    }
}

#[test]
fn memory_and_tables_end_at_their_limits() {
    everywhere("a memory bomb", BOMB, "", &Ending::OverLimit("memory_bytes_max"));
    everywhere("memory that is written to", TOUCHING_BOMB, "", &Ending::OverLimit("memory_bytes_max"));
    everywhere("a table bomb", TABLE_BOMB, "(table $t 1 funcref)", &Ending::OverLimit("table_elements_max"));
}

#[test]
fn a_guest_that_lives_with_a_refused_growth_goes_on() {
    everywhere(
        "a refused growth",
        "(drop (memory.grow (i32.const 60000))) (i32.const $good)",
        "",
        &Ending::Well,
    );
}

#[test]
fn a_trap_is_told_with_what_the_guest_did() {
    everywhere("unreachable", "(unreachable)", "", &Ending::Trapped("unreachable"));
    everywhere("a load outside", "(i32.load (i32.const 131072))", "", &Ending::Trapped("out of bounds"));
    everywhere(
        "a division",
        "(i32.div_s (i32.const 1) (i32.const 0))",
        "",
        &Ending::Trapped("divide by zero"),
    );
    let deep = "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    everywhere("recursion", "(call $deep (i32.const 0))", deep, &Ending::Trapped("call stack exhausted"));
    let table = "(table $t 1 funcref) (type $f (func (result i32)))";
    let nowhere = "(call_indirect (type $f) (i32.const 0))";
    everywhere("a call of nothing", nowhere, table, &Ending::Trapped("uninitialized element"));
}

/// The machine is as busy as it can be: the call has all of its CPU time, and no more.
#[test]
fn a_call_is_ended_within_its_time_on_a_busy_machine_too() {
    let others = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    let over = AtomicBool::new(false);
    let spin = || {
        let began = Instant::now();
        while !over.load(Ordering::Relaxed) && began.elapsed() < Duration::from_secs(10) {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|scope| {
        (0..others).for_each(|_| drop(scope.spawn(spin)));
        for call in calls::all() {
            check("an endless loop on a busy machine", call, &Does::body(ENDLESS), "", &Ending::Overran);
        }
        over.store(true, Ordering::Relaxed);
    });
}
