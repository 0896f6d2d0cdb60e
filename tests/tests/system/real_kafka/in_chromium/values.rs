//! What the page shows is what the API and `host query` tell, of whichever aggregate and group is chosen.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use speed_layer_tests::asked::ask;
use speed_layer_tests::browser::Page;
use speed_layer_tests::http::get;
use speed_layer_tests::job::Job;
use speed_layer_tests::topics::Record;
use speed_layer_tests::{kafka, letters};

use super::{check_quiet, job_over, opened, records};

/// The table behind the chart: each row's cells by their column.
fn shown(page: &mut Page) -> Vec<Value> {
    let cells = "(() => { const table = document.getElementById('windows-table'); \
                 const names = [...table.tHead.querySelectorAll('th')].map((of) => of.textContent); \
                 return [...table.tBodies[0].rows].map((row) => Object.fromEntries([...row.cells].map((of, at) => [names[at], of.textContent]))); })()";
    page.eval(cells).expect("a table").as_array().expect("rows").clone()
}

/// What `host query` says, as texts by their columns.
fn asked(job: &Job, sql: &str) -> Vec<BTreeMap<String, String>> {
    let finished = ask(job, sql, &["--format", "csv"]).expect("it ends");
    assert!(finished.status.success(), "{}", finished.told());
    let mut lines =
        finished.stdout.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let names = lines.next().expect("a header");
    lines.map(|cells| names.iter().cloned().zip(cells).collect()).collect()
}

/// Equal to the last digit, or as texts where they are no numbers; times have no letters on the page.
fn check_cell(shown: &str, told: &str) {
    match (shown.parse::<f64>(), told.parse::<f64>()) {
        _ if told.is_empty() => assert_eq!(shown, "null"),
        (Ok(shown), Ok(told)) => assert_eq!(shown.to_bits(), told.to_bits(), "{shown} {told}"),
        _ => assert_eq!(shown, told.replace('T', " ").replace('Z', "")),
    }
}

fn check_windows(page: &mut Page, job: &Job, aggregate: &str, symbol: &str) {
    let sql =
        format!("SELECT * FROM {aggregate} WHERE symbol = '{symbol}' ORDER BY window_start DESC LIMIT 120");
    let expected = asked(job, &sql);
    page.until(&format!(
        "document.getElementById('candles').getAttribute('aria-label') === 'Windows of {symbol}, {aggregate}: {}'",
        expected.len()
    ));
    let found = shown(page);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        for (column, told) in expected.iter().filter(|(column, _)| *column != "symbol") {
            check_cell(found[column].as_str().unwrap_or_else(|| panic!("{column}: {found}")), told);
        }
    }
}

#[test]
fn windows_are_those_of_the_query_for_each_aggregate_and_group_that_is_chosen() {
    let (job, _running, address) = job_over("chromium-windows", &records());
    let mut page = opened(&address);
    check_windows(&mut page, &job, "daily", "BTCUSDT");
    assert!(
        page.eval("document.querySelectorAll('#candles .candle').length").expect("a number").as_u64()
            > Some(5)
    );
    page.choose("#group", "{\"symbol\":\"ETHUSDT\"}").expect("it is there");
    check_windows(&mut page, &job, "daily", "ETHUSDT");
    page.click("input[value=hourly]");
    check_windows(&mut page, &job, "hourly", "ETHUSDT");
    let newest =
        asked(&job, "SELECT * FROM hourly WHERE symbol = 'ETHUSDT' ORDER BY window_start DESC LIMIT 1");
    let readout = page.text("#readout");
    assert!(readout.starts_with(&newest[0]["window_start"].replace('T', " ")[..16]), "{readout}: {newest:?}");
    check_quiet(&mut page, &address);
}

#[test]
fn figures_partitions_and_plugins_are_those_of_the_api() {
    let (_job, _running, address) = job_over("chromium-figures", &records());
    let mut page = opened(&address);
    let status = get(&address, "/api/status").expect("an answer").json();
    let plugins = get(&address, "/api/plugins").expect("an answer").json();
    assert_eq!((page.text("#job"), page.text("#topic")), ("crypto".into(), "chromium-figures".into()));
    assert_eq!((page.text("#state"), page.text("#lag")), ("running".into(), "0".into()));
    assert_eq!(page.text("#dead"), status["rows_dead_lettered"].to_string());
    let texts = |page: &mut Page, selector: &str| {
        let found = page.eval(&format!(
            "[...document.querySelectorAll({})].map((of) => of.textContent)",
            json!(selector)
        ));
        found.expect(selector)
    };
    let digests: Vec<Value> = plugins
        .as_array()
        .expect("a list")
        .iter()
        .map(|of| json!(of["digest"].as_str().expect("text")[..12]))
        .collect();
    assert_eq!(texts(&mut page, "#plugins-table .copy"), json!(digests));
    let stages: Vec<&Value> = plugins.as_array().expect("a list").iter().map(|of| &of["stage"]).collect();
    assert_eq!(texts(&mut page, "#plugins-table tbody th"), json!(stages));
    assert_eq!(texts(&mut page, "#swap-stage option"), json!(stages));
    let offsets: i64 = status["partitions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|of| of["next_offset"].as_i64())
        .sum();
    assert_eq!(offsets as usize, super::ROWS);
    assert!(page.eval("document.querySelectorAll('.chart.small path.line').length").expect("a number") == 3);
    check_quiet(&mut page, &address);
}

/// What somebody might write into a topic.
const HOSTILE: [&[u8]; 5] = [
    b"<script>document.title = 'taken'; window.taken = true</script>",
    b"<img src=x onerror=\"window.taken = true\"> {\"symbol\": \"<b>\"}",
    "text \u{1b}[2J\u{202e}desrever\u{0}".as_bytes(),
    &[0xff, 0x00, 0x1b, 0x5b, 0x80],
    b"{\"symbol\": \"</td></table><style>body { display: none }</style>",
];

#[test]
fn what_others_wrote_into_the_topic_is_shown_and_does_nothing() {
    let topic = "chromium-hostile";
    let (job, _running, address) = job_over(topic, &records());
    let before = get(&address, "/api/status").expect("an answer").json()["rows_dead_lettered"].clone();
    let mut page = opened(&address);
    page.until(&format!("document.getElementById('dead').textContent === '{before}'"));
    let record = |value: &&[u8]| Record {
        partition: 0,
        key: Some(value.to_vec()),
        value: Some(value.to_vec()),
        timestamp_ms: None,
    };
    let hostile: Vec<Record> = HOSTILE.iter().map(record).collect();
    kafka::shared().produce(topic, "none", hostile).expect("the broker takes them");
    let wanted = json!([
        "<script>document.title = 'taken'",
        "onerror=\"window.taken",
        "\\u{1b}[2J\\u{202e}desrever\\u{0}",
        "000000  ff 00 1b 5b 80",
        "</table><style>",
    ]);
    page.until(&format!(
        "(() => {{ document.querySelectorAll('#letters-table details').forEach((of) => {{ of.open = true; }}); \
         const text = [...document.querySelectorAll('#letters-table pre')].map((of) => of.textContent).join('\\n'); \
         return {wanted}.every((part) => text.includes(part)); }})()"
    ));
    let harm = "window.taken === true || document.title.includes('taken') || document.querySelector('main script, main style, main img') !== null";
    assert_eq!(page.eval(harm).expect("an answer"), false);
    let kept: Vec<letters::Letter> = job.dead_letters_of("crypto");
    assert!(HOSTILE.iter().all(|bytes| kept.iter().any(|letter| letter.value.as_deref() == Some(bytes))));
    check_quiet(&mut page, &address);
}
