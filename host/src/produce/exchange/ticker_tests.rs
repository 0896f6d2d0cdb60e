//! Answers and stream messages of every kind that an exchange may send, and what they become.

use super::*;

const REST: &str = r#"{"symbol":"BTCUSDT","priceChange":"-94.99999800","priceChangePercent":"-95.960","weightedAvgPrice":"0.29628482","prevClosePrice":"0.10002000","lastPrice":"4.00000200","lastQty":"200.00000000","bidPrice":"4.00000000","bidQty":"100.00000000","askPrice":"4.00000200","askQty":"100.00000000","openPrice":"99.00000000","highPrice":"100.00000000","lowPrice":"0.10000000","volume":"8913.30000000","quoteVolume":"15.30000000","openTime":1499783499040,"closeTime":1499869899040,"firstId":28385,"lastId":28460,"count":76}"#;
const MESSAGE: &str = r#"{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1672515782136,"s":"BTCUSDT","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009","c":"0.0025","Q":"10","b":"0.0024","B":"10","a":"0.0026","A":"100","o":"0.0010","h":"0.0026","l":"0.0009","v":"10000","q":"18.123456789012345678","O":0,"C":1672515782000,"F":0,"L":18150,"n":18151}}"#;

fn symbols() -> Vec<String> {
    ["BTCUSDT", "ETHUSDT"].map(String::from).to_vec()
}

fn json(tick: &Tick) -> String {
    let now = DateTime::from_timestamp_micros(1_767_225_600_000_042).unwrap();
    String::from_utf8(tick.to_json(now)).unwrap()
}

/// The answer with one part replaced, and what becomes of it: the value of a field, or the reason and words of
/// the message.
fn check(part: &str, by: &str, expected: Result<&str, (Reason, &str)>) {
    assert!(REST.contains(part), "{part}");
    let told = Tick::of_answer(REST.replace(part, by).as_bytes(), "BTCUSDT");
    judge(by, told, expected);
}

fn check_message(part: &str, by: &str, expected: Result<&str, (Reason, &str)>) {
    assert!(MESSAGE.contains(part), "{part}");
    judge(by, Tick::of_stream(MESSAGE.replace(part, by).as_bytes(), &symbols()), expected);
}

fn judge(by: &str, told: Result<Tick, Skip>, expected: Result<&str, (Reason, &str)>) {
    match (told, expected) {
        (Ok(tick), Ok(text)) => assert!(json(&tick).contains(text), "{by}: {}", json(&tick)),
        (Err(skip), Err((reason, text))) => {
            assert_eq!(skip.reason, reason, "{by}: {skip}");
            assert!(skip.detail.contains(text), "{by}: {skip}");
        }
        (told, _) => panic!("{by}: {told:?}"),
    }
}

#[test]
fn an_answer_becomes_twelve_fields_with_the_digits_that_were_sent() {
    let tick = Tick::of_answer(REST.as_bytes(), "BTCUSDT").unwrap();
    let expected = r#"{"symbol":"BTCUSDT","event_time":1499869899040,"price":4.00000200,"open":99.00000000,"high":100.00000000,"low":0.10000000,"volume":8913.30000000,"quote_volume":15.30000000,"number_trades":76,"price_change":-94.99999800,"price_change_percent":-95.960,"timestamp":"2026-01-01T00:00:00.000042Z"}"#;
    assert_eq!(json(&tick), expected);
    let value: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(value.as_object().map(Map::len), Some(12));
}

#[test]
fn a_message_of_the_stream_becomes_the_same_fields() {
    let tick = Tick::of_stream(MESSAGE.as_bytes(), &symbols()).unwrap();
    let expected = r#"{"symbol":"BTCUSDT","event_time":1672515782000,"price":0.0025,"open":0.0010,"high":0.0026,"low":0.0009,"volume":10000,"quote_volume":18.123456789012345678,"number_trades":18151,"price_change":0.0015,"price_change_percent":250.00,"timestamp":"2026-01-01T00:00:00.000042Z"}"#;
    assert_eq!(json(&tick), expected);
}

#[test]
fn numbers_of_every_form_keep_it() {
    let price = |text: &str| format!("\"lastPrice\":\"{text}\"");
    for text in ["1e5", "-0", "0", "1E-8", "123456789012345678901234567890.000000001"] {
        check("\"lastPrice\":\"4.00000200\"", &price(text), Ok(&format!("\"price\":{text},")));
    }
    for text in ["NaN", "", "+1", "Infinity", "1,5", "01", "1e999", "0x1", " 1"] {
        let expected = Err((Reason::NotATicker, "\"lastPrice\" should be a number as text"));
        check("\"lastPrice\":\"4.00000200\"", &price(text), expected);
    }
}

#[test]
fn fields_of_other_types_nulls_and_missing_ones_are_named() {
    let not = |text| Err((Reason::NotATicker, text));
    for (part, by, expected) in [
        (
            "\"lastPrice\":\"4.00000200\"",
            "\"lastPrice\":null",
            not("\"lastPrice\" should be text and is null"),
        ),
        ("\"lastPrice\":\"4.00000200\"", "\"lastPrice\":4.5", not("\"lastPrice\" should be text and is 4.5")),
        ("\"lastPrice\":\"4.00000200\"", "\"lastPrice\":[]", not("\"lastPrice\"")),
        ("\"lastPrice\":\"4.00000200\",", "", not("\"lastPrice\" should be text and is missing")),
        ("\"volume\":\"8913.30000000\"", "\"volume\":true", not("\"volume\" should be text and is true")),
        ("1499869899040", "null", not("\"closeTime\" should be a whole number and is null")),
        ("1499869899040", "\"1499869899040\"", not("\"closeTime\"")),
        ("1499869899040", "-5", not("\"closeTime\"")),
        ("1499869899040", "1.5", not("\"closeTime\"")),
        ("1499869899040", "99999999999999999999", not("\"closeTime\"")),
        ("\"count\":76", "\"count\":null", not("\"count\"")),
        ("\"symbol\":\"BTCUSDT\"", "\"symbol\":null", not("\"symbol\" should be text and is null")),
        ("\"symbol\":\"BTCUSDT\"", "\"symbol\":7", not("\"symbol\" should be text and is 7")),
        ("\"symbol\":\"BTCUSDT\"", "\"symbol\":\"ETHUSDT\"", Err((Reason::OtherSymbol, "\"ETHUSDT\""))),
        ("\"count\":76", "\"count\":76,\"new\":{\"a\":[1]}", Ok("\"number_trades\":76,")),
        ("\"count\":76", "\"count\":0", Ok("\"number_trades\":0,")),
    ] {
        check(part, by, expected);
    }
}

#[test]
fn answers_that_are_no_ticker_are_told_with_their_beginning() {
    let cut = &REST.as_bytes()[..200];
    let cases: [(&[u8], Reason, &str); 9] = [
        (b"<html><body>busy</body></html>", Reason::NotJson, "<html><body>busy"),
        (b"", Reason::NotJson, "no JSON"),
        (cut, Reason::NotJson, "EOF"),
        (b"null", Reason::NotATicker, "no object: null"),
        (b"[{}]", Reason::NotATicker, "no object: [{}]"),
        (b"{}", Reason::NotATicker, "\"symbol\""),
        (b"{\"code\":-1121,\"msg\":\"Invalid symbol.\"}", Reason::NotATicker, "\"symbol\""),
        (b"\xff\xfe\x1b[31m", Reason::NotJson, "\\u{1b}"),
        (&[b'['; 5_000], Reason::NotJson, "recursion"),
    ];
    for (body, reason, text) in cases {
        judge(text, Tick::of_answer(body, "BTCUSDT"), Err((reason, text)));
    }
}

#[test]
fn messages_of_another_stream_event_or_form_are_told() {
    let not = |text| Err((Reason::NotATicker, text));
    for (part, by, expected) in [
        ("24hrTicker", "24hrMiniTicker", not("\"e\" should be 24hrTicker and is \"24hrMiniTicker\"")),
        ("\"data\":{", "\"other\":{", not("\"data\" should be an object and is missing")),
        ("\"c\":\"0.0025\"", "\"c\":null", not("\"c\" should be text and is null")),
        ("\"C\":1672515782000", "\"C\":\"x\"", not("\"C\" should be a whole number")),
        ("btcusdt@ticker", "ethusdt@ticker", Err((Reason::OtherSymbol, "ethusdt@ticker"))),
        ("\"s\":\"BTCUSDT\"", "\"s\":\"ETHUSDT\"", Err((Reason::OtherSymbol, "\"ETHUSDT\""))),
        ("BTCUSDT", "DOGEUSDT", Err((Reason::OtherSymbol, "DOGEUSDT"))),
        ("\"n\":18151", "\"n\":18151,\"z\":null", Ok("\"number_trades\":18151,")),
    ] {
        check_message(part, by, expected);
    }
    let answer = Tick::of_stream(b"{\"result\":null,\"id\":1}", &symbols());
    judge("an answer to a request", answer, not("\"data\""));
}

#[test]
fn a_symbol_that_needs_escapes_is_escaped() {
    let tick = Tick { symbol: "A\"B".into(), ..Tick::of_answer(REST.as_bytes(), "BTCUSDT").unwrap() };
    assert!(json(&tick).starts_with(r#"{"symbol":"A\"B","event_time""#), "{}", json(&tick));
}
