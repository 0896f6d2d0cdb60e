//! Results that are no values of the contract's types at all: places, lengths, texts and cases that cannot be.

use crate::abi::BASE;
use crate::answer::{Answer, Data, S64, TEXT};
use crate::calls::{self, Call};
use crate::check::{Ending, HOSTCALL_BYTES_MAX, check};
use crate::guest::Does;

/// Texts that are no text: for the guest's memory at [`BAD_TEXT`].
const BAD_TEXTS: &str = r#"(data (i32.const 2048) "\ff\fe\ed\a0\80\f8\88\80\80\80")"#;
const BAD_TEXT: u32 = 2048;

fn form() -> Ending {
    Ending::broke("it returned values that do not have the form")
}

fn too_many_bytes() -> Ending {
    Ending::broke(format!("it gave more than the {HOSTCALL_BYTES_MAX} bytes"))
}

fn everywhere(case: &str, does: &Does, expected: &Ending) {
    for call in calls::all() {
        check(case, call, does, BAD_TEXTS, expected);
    }
}

#[test]
fn a_result_lies_in_the_memory_and_is_aligned() {
    for (case, place) in [
        ("a place past the end", "131072"),
        ("a place at the very end", "131068"),
        ("the last place there is", "-4"),
        ("a crooked place", "4097"),
    ] {
        everywhere(case, &Does::Body(format!("(i32.const {place})")), &form());
    }
}

#[test]
fn a_result_is_a_success_or_an_error_of_a_case_that_there_is() {
    for (case, words) in [
        ("neither success nor error", [2, 0, 0, 0]),
        ("another byte", [255, 0, 0, 0]),
        ("an error of no case", [1, 2, 0, 0]),
        ("an error of another case", [1, 255, 0, 0]),
    ] {
        everywhere(case, &Does::Returns(words.to_vec()), &form());
    }
}

#[test]
fn the_text_of_an_error_is_text_and_lies_in_the_memory() {
    let error = |place, length| Does::Returns(vec![1, 0, place, length]);
    everywhere("no UTF-8", &error(BAD_TEXT, 2), &form());
    everywhere("half of a pair of surrogates", &error(BAD_TEXT + 2, 3), &form());
    everywhere("a text beyond Unicode", &error(BAD_TEXT + 5, 5), &form());
    everywhere("a text past the end", &error(131_000, 73), &form());
    everywhere("a text of 2 GiB", &error(0, 1 << 31), &form());
    everywhere("a text of 4 GiB that ends at its beginning", &error(8, u32::MAX - 7), &form());
}

/// A result whose first list begins there and has that many entries.
fn list(call: Call, place: u32, length: u32) -> Option<Does> {
    let words = match (call.function, call.gives_rows()) {
        ("open", _) => return None,
        (_, true) if !call.describes() => vec![0, 0, place, length],
        _ => vec![0, place, length],
    };
    // What follows reads as lists without an entry.
    Some(Does::Returns([words, vec![0; 32]].concat()))
}

#[test]
fn a_list_lies_in_the_memory_and_is_aligned() {
    for (case, place, length) in [
        ("a list of 2^31", 0, 1 << 31),
        ("a list of 2^32 - 1", 0, u32::MAX),
        ("a list past the end", 131_060, 2),
        ("a list that begins nowhere", u32::MAX - 3, 1),
        ("a crooked list", BASE + 1, 1),
    ] {
        for call in calls::all() {
            let Some(does) = list(call, place, length) else { continue };
            check(case, call, &does, "", &form());
        }
    }
}

/// 900 pages are there, so that the list is where it says.
#[test]
fn a_list_that_is_too_long_costs_no_memory() {
    for call in calls::all() {
        let Some(Does::Returns(words)) = list(call, 131_072, 1_400_000) else { continue };
        let store =
            |(at, word): (usize, u32)| format!("(i32.store (i32.const {}) (i32.const {word}))", 8 + 4 * at);
        let stores: String = (0..).zip(words).map(store).collect();
        let body = format!("(drop (memory.grow (i32.const 900))) {stores} (i32.const 8)");
        check("a list of 1.4 million records", call, &Does::Body(body), "", &too_many_bytes());
    }
    let bytes = "(drop (memory.grow (i32.const 900))) (i32.store8 (i32.const 8) (i32.const 1)) \
                 (i32.store (i32.const 20) (i32.const 10000000)) (i32.const 8)";
    everywhere("an error of 10 MB", &Does::body(bytes), &too_many_bytes());
}

#[test]
fn a_column_has_a_case_that_there_is_and_lists_that_are_there() {
    let columns: [(&str, [u32; 7]); 5] = [
        ("a column of no type", [11, 0, 0, 0, 0, 0, 0]),
        ("a column of another type", [255, 0, 0, 0, 0, 0, 0]),
        ("2^31 numbers", [S64, 0, 1 << 31, 0, 0, 0, 0]),
        ("numbers past the end", [S64, 131_000, 100, 0, 0, 0, 0]),
        ("crooked numbers", [S64, BASE + 4, 1, 0, 0, 0, 0]),
    ];
    for (case, words) in columns {
        for call in calls::all().into_iter().filter(|call| call.gives_rows()) {
            let mut answer = Answer::to(call);
            answer.columns[TEXT].data = Data::Words(words);
            check(case, call, &Does::Answers(Box::new(answer)), "", &form());
        }
    }
}

#[test]
fn a_field_is_of_a_type_that_there_is() {
    for call in calls::all().into_iter().filter(|call| call.describes()) {
        for case in [11, 255] {
            let mut answer = Answer::to(call);
            answer.fields[TEXT].kind = [case, 0, 0];
            check("a field of no type", call, &Does::Answers(Box::new(answer)), "", &form());
        }
    }
}

/// As the component model has it: bits that mean nothing are no error.
#[test]
fn unknown_flags_are_passed_over() {
    let call = calls::all()[0];
    let answer = Answer { reads: 0xf0, ..Answer::to(call) };
    check("unknown flags", call, &Does::Answers(Box::new(answer)), "", &Ending::Well);
}
