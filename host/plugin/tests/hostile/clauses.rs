//! Results that are values of the contract's types and break a clause of it.

use speed_layer_plugin::Stage;

use crate::answer::{AMOUNT, Answer, COUNT, Column, Data, FLAG, Field, GIVEN, Rejects, TEXT, VarBytes, WORD};
use crate::calls::{self, Call};
use crate::check::{Ending, check};
use crate::guest::Does;

/// Changes the good answers to the calls that `applies` picks, and says what is then wrong.
fn lie(
    case: &str,
    applies: impl Fn(Call) -> bool,
    change: impl Fn(&mut Answer),
    expected: impl Fn(Call) -> &'static str,
) {
    let calls: Vec<Call> = calls::all().into_iter().filter(|call| applies(*call)).collect();
    assert!(!calls.is_empty(), "{case}");
    for call in calls {
        let mut answer = Answer::to(call);
        change(&mut answer);
        check(case, call, &Does::Answers(Box::new(answer)), "", &Ending::broke(expected(call)));
    }
}

/// A lie about one column of whatever rows a call gives.
fn column_lie(case: &str, column: usize, change: impl Fn(&mut Column), expected: &'static str) {
    let change = |answer: &mut Answer| change(&mut answer.columns[column]);
    lie(case, Call::gives_rows, change, |_| expected);
}

#[test]
fn the_answers_that_are_changed_are_good_ones() {
    for call in calls::all() {
        check("a good answer", call, &Does::Answers(Box::new(Answer::to(call))), "", &Ending::Well);
    }
}

#[test]
fn validity_has_its_bytes_and_no_null_where_there_can_be_none() {
    let validity = |bytes: &'static [u8]| move |column: &mut Column| column.validity = Some(bytes.to_vec());
    column_lie(
        "a bitmap without a byte",
        TEXT,
        validity(&[]),
        "has a validity bitmap of 0 bytes; 1 are needed",
    );
    column_lie("a bitmap too long", WORD, validity(&[0xff; 9]), "has a validity bitmap of 9 bytes");
    column_lie("a null", COUNT, validity(&[0]), "is never null by its schema and is null at row 0");
}

#[test]
fn offsets_begin_with_0_never_go_back_and_end_with_the_data() {
    for column in [TEXT, WORD] {
        let offsets = |case: &str, change: fn(&mut VarBytes), expected| {
            column_lie(case, column, |column| change(column.data.texts()), expected);
        };
        offsets("no offsets", |texts| texts.offsets.clear(), "has 0 offsets");
        offsets("offsets that begin later", |texts| texts.offsets[0] = 1, "offsets that begin with 1");
        offsets("offsets that go back", |texts| texts.offsets[0] = 77, "offsets that go back at row 0");
        let past = |texts: &mut VarBytes| *texts.offsets.last_mut().unwrap() = u32::MAX;
        offsets("offsets past the end", past, "offsets that end at 4294967295");
        offsets("offsets before the end", |texts| texts.data.push(b'x'), "offsets that end at");
        offsets("no UTF-8", |texts| texts.data[0] = 0xff, "holds no valid UTF-8 at row 0");
        offsets("half a letter", |texts| texts.data[1] = 0xc3, "holds no valid UTF-8 at row 0");
    }
}

#[test]
fn values_are_those_of_their_columns_type() {
    let other = |column: &mut Column| column.data = Data::S64(vec![]);
    column_lie("another type", TEXT, other, "was agreed to be Utf8 and came as s64");
    let key = |column: &mut Column| {
        if let Data::Dictionary { keys, .. } = &mut column.data {
            keys[0] = 99;
        }
    };
    column_lie("a key of no value", WORD, key, "the key 99 into 1 values");
    let digits = |column: &mut Column| {
        if let Data::Decimal(words) = &mut column.data {
            words[0] = 1_000;
        }
    };
    column_lie("too many digits", AMOUNT, digits, "a number of more than 3 digits");
    column_lie(
        "no booleans",
        FLAG,
        |column| column.data = Data::Boolean(vec![]),
        "0 bytes of packed booleans",
    );
    column_lie("no numbers", COUNT, |column| column.data = Data::S64(vec![]), "has 0 values where");
}

#[test]
fn columns_are_those_that_were_agreed_on() {
    let less = |answer: &mut Answer| drop(answer.columns.pop());
    lie("a column less", Call::gives_rows, less, |_| "it gave 4 columns where 5 were agreed on");
    let more = |answer: &mut Answer| answer.columns.push(answer.columns[0].clone());
    lie("a column more", Call::gives_rows, more, |_| "it gave 6 columns where 5 were agreed on");
    let swapped = |answer: &mut Answer| answer.columns.swap(TEXT, FLAG);
    lie("columns in another order", Call::gives_rows, swapped, |_| "was agreed to be");
}

#[test]
fn rows_are_as_many_as_there_must_be() {
    let whole = |rows: u32| move |answer: &mut Answer| answer.resize(rows);
    let ending = |more: bool| {
        move |call: Call| match (call.describes(), call.function, more) {
            (true, _, true) => "the identity state has 4 rows",
            (true, _, false) => "the identity state has 2 rows",
            (_, "transform", true) => "it gave 4 rows, more than the 3",
            (_, "parse" | "transform", _) => "it left out which of the 3 inputs",
            (_, _, true) => "it gave 4 rows where there must be 3",
            (_, _, false) => "it gave 2 rows where there must be 3",
        }
    };
    lie("too many rows", Call::gives_rows, whole(GIVEN + 1), ending(true));
    lie("too few rows", Call::gives_rows, whole(GIVEN - 1), ending(false));
    let claimed = |answer: &mut Answer| answer.rows = u32::MAX;
    lie("rows that are only claimed", Call::gives_rows, claimed, |call| match call {
        call if call.describes() => "the identity state has 4294967295 rows",
        call if call.gives_as_many() => "it gave 4294967295 rows where there must be 3",
        _ => "it gave 4294967295 rows, more than the",
    });
}

#[test]
fn rows_come_from_inputs_that_were_given() {
    let origins =
        |origins: &'static [u32]| move |answer: &mut Answer| answer.origins = Some(origins.to_vec());
    lie("an input never given", Call::gives_origins, origins(&[0, 1, 3]), |_| "row 2 came from input 3");
    lie(
        "an input far away",
        Call::gives_origins,
        origins(&[0, 1, u32::MAX]),
        |_| "came from input 4294967295",
    );
    lie("an origin too few", Call::gives_origins, origins(&[0, 1]), |_| "the origin of 2 rows and gave 3");
    lie(
        "an origin too many",
        Call::gives_origins,
        origins(&[0, 1, 2, 2]),
        |_| "the origin of 4 rows and gave 3",
    );
    lie("origins that go back", Call::gives_origins, origins(&[1, 0, 2]), |call| match call.function {
        "parse" => "the origins of its rows go back at row 1",
        _ => "the kept rows do not rise strictly at entry 1",
    });
    let both = |answer: &mut Answer| {
        answer.origins = Some(vec![0, 1, 2]);
        answer.rejects = rejects(&[1], &[b"bad"], &[b""]);
    };
    lie(
        "a row that is rejected too",
        Call::gives_origins,
        both,
        |_| "input 1 is rejected and gives a row too",
    );
}

fn rejects(rows: &[u32], kinds: &[&[u8]], messages: &[&[u8]]) -> Rejects {
    Rejects { rows: rows.to_vec(), kinds: VarBytes::of(kinds), messages: VarBytes::of(messages) }
}

#[test]
fn rejects_are_of_inputs_or_groups_that_were_given_each_once_and_with_a_reason() {
    let reject = |case: &str, rows: &[u32], kinds: &[&[u8]], messages: &[&[u8]], expected: &'static str| {
        let change = |answer: &mut Answer| answer.rejects = rejects(rows, kinds, messages);
        lie(case, Call::gives_rejects, change, |_| expected);
    };
    let (one, two): ([&[u8]; 1], [&[u8]; 2]) = ([b"bad"], [b"bad", b"bad"]);
    reject("a group never given", &[3], &one, &one, "it rejects input 3, and only 3 inputs were given");
    reject("a group far away", &[u32::MAX], &one, &one, "it rejects input 4294967295");
    reject("one rejected twice", &[1, 1], &two, &two, "the rejected inputs do not rise strictly at entry 1");
    reject("no kind", &[0], &[], &one, "the kinds of its rejects has 1 offsets; 2 are needed");
    reject("a message too many", &[0], &one, &two, "the messages of its rejects has 3 offsets; 2 are needed");
    reject("a kind that is none", &[0], &[b"\x1b[2J"], &one, "reject 0 has the kind");
    reject(
        "a message that is no text",
        &[0],
        &one,
        &[b"\xff"],
        "the messages of its rejects is text and holds no valid",
    );
    let crooked = |answer: &mut Answer| answer.rejects.kinds.offsets = vec![7, 0];
    lie("offsets of no rejects", Call::gives_rejects, crooked, |_| "the kinds of its rejects has 2 offsets");
}

#[test]
fn a_description_names_columns_that_can_be() {
    let fields =
        |case: &str, change: fn(&mut Answer), expected| lie(case, Call::describes, change, |_| expected);
    fields("a field without a name", |answer| answer.fields[0].name.clear(), "has a name of 0 bytes");
    fields("a long name", |answer| answer.fields[0].name = "n".repeat(256), "has a name of 256 bytes");
    let twice = |answer: &mut Answer| answer.fields[1].name = answer.fields[0].name.clone();
    fields("two of a name", twice, "has two fields named");
    let many = |answer: &mut Answer| {
        let field = answer.fields[0].clone();
        answer.fields = (0..1_025).map(|n| Field { name: n.to_string(), ..field.clone() }).collect();
    };
    fields("1,025 fields", many, "schema has 1025 fields, more than 1024");
    fields(
        "a decimal of 39 digits",
        |answer| answer.fields[AMOUNT].kind[1] = 39,
        "is a decimal of precision 39",
    );
    let aggregate = |call: Call| call.describes() && call.gives_rows();
    lie("a version of nothing", aggregate, |answer| answer.state_version = 0, |_| "the state's version is 0");
}

#[test]
fn a_description_needs_what_there_is() {
    let needs = |call: Call| call.describes() && call.stage != Stage::Parse;
    let unknown = |answer: &mut Answer| answer.needs[0] = "volume".to_owned();
    lie(
        "a need that nobody has",
        needs,
        unknown,
        |_| "it needs column \"volume\", which its input does not have",
    );
    let many = |answer: &mut Answer| answer.needs = vec!["price".to_owned(); 2_500];
    lie("2,500 needs", needs, many, |_| "it needs 2500 columns, more than 2048");
    let transform = |call: Call| call.describes() && call.stage == Stage::Transform;
    lie("an entry of no need", transform, |answer| answer.always = vec![1], |_| "names entry 1 of its needs");
    let entries = |answer: &mut Answer| answer.always = vec![0; 5_000];
    lie("5,000 times the same entry", transform, entries, |_| "names 5000 entries of its needs");
    let outside = |answer: &mut Answer| answer.passed_on = Some(1);
    lie(
        "a column passed on that is not there",
        transform,
        outside,
        |_| "passes on input column 1, and there are 1",
    );
    let other = |answer: &mut Answer| answer.passed_on = Some(0);
    lie("a column passed on as another type", transform, other, |_| "passes on a column of type Int64");
}
