//! A day of the whole line, as people run it: an exchange is polled, what it says goes through Kafka into a daily and
//! an hourly table, which are looked at in all the ways that there are while the stream runs.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use speed_layer_tests::asked::table;
use speed_layer_tests::exchange::{Answer, Exchange};
use speed_layer_tests::http::{await_reply, get};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread, Tick};
use speed_layer_tests::topics::read_all;

use super::{DAY_MS, HOUR_MS, LIMIT, exchange_polled, metrics};

const TOPIC: &str = "day";
const TICKS: usize = 900;
const PIPELINE: &str = r#"
name = "crypto"
checkpoint = "{folder}/checkpoint"
trigger = "200ms"
{stages}
[[aggregate]]
name = "crypto_daily_stats"
plugin = "{plugins}/ohlcv.wasm"
sink = [{ type = "parquet", path = "{folder}/output/daily" }]
[[aggregate]]
name = "crypto_hourly_stats"
plugin = "{plugins}/ohlcv.wasm"
config = { prefix = "hourly" }
window = "1h"
sink = [{ type = "parquet", path = "{folder}/output/hourly" }, { type = "console", mode = "append" }]
[[sink]]
type = "console"
every = "1s"
"#;

/// Four days of two symbols.
fn ticks() -> BTreeMap<String, Vec<Tick>> {
    let plan = Plan { rows: TICKS, symbols: 2, days: 4, ..Plan::default() };
    let mut ticks: BTreeMap<String, Vec<Tick>> = BTreeMap::new();
    for tick in plan.records(1, Spread::InTurn).into_iter().filter_map(|record| record.tick) {
        ticks.entry(tick.symbol.clone()).or_default().push(tick);
    }
    ticks
}

/// Gives the next tick at each question, an error now and then, and errors alone when there are none left.
fn exchange(ticks: BTreeMap<String, Vec<Tick>>) -> Exchange {
    Exchange::start(move |symbol, number| match number % 20 {
        7 => Answer::text(500, "out of order"),
        13 => Answer::text(200, "<html>busy</html>"),
        _ => {
            let bad = number / 20 * 2 + u64::from(number % 20 > 7) + u64::from(number % 20 > 13);
            let tick = ticks[symbol].get((number - bad) as usize);
            tick.map_or_else(|| Answer::text(503, "closed"), |tick| Answer::text(200, &ticker(tick)))
        }
    })
}

/// As the exchange writes one: prices are texts.
fn ticker(tick: &Tick) -> String {
    let text = |number: Option<f64>| number.map(|number| number.to_string());
    json!({
        "symbol": tick.symbol,
        "closeTime": tick.event_time_ms,
        "lastPrice": text(tick.price),
        "openPrice": text(tick.open),
        "highPrice": text(tick.high),
        "lowPrice": text(tick.low),
        "volume": text(tick.volume),
        "quoteVolume": text(tick.quote_volume),
        "count": tick.number_trades,
        "priceChange": "0.5",
        "priceChangePercent": "0.01",
    })
    .to_string()
}

/// What lies in the topic, and where.
fn in_topic(ticks: &BTreeMap<String, Vec<Tick>>) -> Vec<Placed> {
    let known: HashMap<(&str, i64), &Tick> =
        ticks.values().flatten().map(|tick| ((tick.symbol.as_str(), tick.event_time_ms), tick)).collect();
    let placed = |(partition, offset, value): (i32, i64, Option<Vec<u8>>)| {
        let value = value.expect("no tombstone");
        let told: Value = serde_json::from_slice(&value).expect("JSON");
        let symbol = told["symbol"].as_str().expect("a symbol");
        let tick = known[&(symbol, told["event_time"].as_i64().expect("a time"))].clone();
        Placed { partition, offset, tick: Some(tick), value }
    };
    read_all(kafka::shared(), TOPIC, 2).expect("the broker answers").into_iter().map(placed).collect()
}

/// A table as SQL, its files and the reference have it.
fn check(job: &Job, name: &str, output: &str, all: &Table, done: &Table) {
    let asked = |table_name: &str| table(job, &format!("SELECT * FROM {table_name}")).expect("an answer");
    assert_equal(all, &asked(name));
    assert_equal(done, &asked(&format!("{name}_closed")));
    assert_equal(done, &job.table_of(output, "symbol"));
}

#[test]
fn an_exchange_becomes_tables_that_sql_files_and_the_reference_agree_on() {
    let ticks = ticks();
    let exchange = exchange(ticks.clone());
    let url = format!("http://{}", exchange.host());
    let producer = exchange_polled::start(TOPIC, &format!("--from binance --url {url} --interval 10ms"));
    // A partition that never gave anything holds no clock back, and hours pass within milliseconds here.
    ticks.keys().for_each(|symbol| exchange.wait_for(symbol, 25, LIMIT));
    let job = Job::new(kafka::shared(), TOPIC).pipeline(PIPELINE).without("--trigger");
    let (running, address) = metrics::start(&job);
    await_reply(&address, "/ready", |reply| reply.status == 200);
    for (symbol, ticks) in &ticks {
        // One answer in ten was none.
        exchange.wait_for(symbol, ticks.len() * 10 / 9 + 2, LIMIT);
    }
    let (_, produced) = exchange_polled::stop(producer, "INT");
    assert_eq!((&produced["delivered"], &produced["lost"]), (&json!(TICKS), &json!(0)), "{produced}");
    assert!(produced["skipped"]["not_json"].as_u64() > Some(10), "{produced}");

    let records = in_topic(&ticks);
    await_reply(&address, "/api/status", |reply| reply.json()["records_committed"] == TICKS);
    let watermark_ms = watermark_ms(&records, HOUR_MS);
    let of = |window_ms: i64, prefix: &str| {
        let all = ohlcv(&records, window_ms, prefix);
        let done = closed(all.clone(), window_ms, watermark_ms);
        (all, done)
    };
    let ((daily, daily_done), (hourly, hourly_done)) = (of(DAY_MS, "daily"), of(HOUR_MS, "hourly"));
    assert!(
        daily_done.len() >= 6 && hourly_done.len() > 150,
        "{} and {} prove little",
        daily_done.len(),
        hourly_done.len()
    );
    check(&job, "crypto_daily_stats", "output/daily", &daily, &daily_done);
    check(&job, "crypto_hourly_stats", "output/hourly", &hourly, &hourly_done);
    assert_eq!(get(&address, "/").expect("a page").status, 200);
    let told = get(&address, "/api/aggregates/crypto_daily_stats/windows").expect("an answer").json();
    let told = told["windows"].as_array().expect("windows").iter();
    let ticks = told.filter_map(|window| window["tick_count"].as_u64()).sum::<u64>();
    assert_eq!(ticks, TICKS as u64, "on the dashboard");
    assert_eq!(metrics::metrics(&address).sum("speed_layer_records_read_total", &[]), TICKS as f64);

    running.signal("TERM").expect("it runs");
    let finished = running.finish(LIMIT).expect("it ends");
    let summary = finished.summary().expect("it ends well");
    assert_eq!((&summary["records_in"], &summary["rows_late"]), (&json!(TICKS), &json!(0)));
    check(&job, "crypto_daily_stats", "output/daily", &daily, &daily_done);
    let windows = finished.stdout.lines().filter(|line| line.ends_with("  true")).count();
    assert_eq!(windows, hourly_done.len(), "{}", finished.told());
    assert!(finished.stdout.contains("price_change_percent"), "{}", finished.told());
}
