//! Numbered tickers of a pretended exchange: as its answers and its stream have them, and the messages that
//! must come of them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use chrono::DateTime;

use crate::kafka::Broker;
use crate::topics::{read_all, read_headed};

const FIRST_CLOSE_MS: i64 = 1_767_225_600_123;

/// The event time of a ticker.
pub fn event_time_ms(number: u64) -> i64 {
    FIRST_CLOSE_MS + number as i64 * 1_000
}

/// Price, open, high, low, volume, quote volume, change, change in percent: with digits that a float would not
/// keep, and with zeros at their ends.
fn numbers(number: u64) -> [String; 8] {
    [
        format!("{}.45000000", 67_000 + number),
        "66000.00000000".into(),
        format!("{}.10", 68_000 + number),
        "0.00000001".into(),
        format!("{number}.12345678901234567890"),
        "1234567890123456789.01".into(),
        format!("-{number}.50"),
        "-0.070".into(),
    ]
}

/// The answer of the exchange's REST interface.
pub fn answer(symbol: &str, number: u64) -> String {
    let [price, open, high, low, volume, quote_volume, change, percent] = numbers(number);
    let (close, open_time) = (event_time_ms(number), event_time_ms(number) - 86_400_000);
    format!(
        r#"{{"symbol":"{symbol}","priceChange":"{change}","priceChangePercent":"{percent}","weightedAvgPrice":"67000.1","prevClosePrice":"66000.00","lastPrice":"{price}","lastQty":"0.1","bidPrice":"1.0","bidQty":"2.0","askPrice":"1.1","askQty":"3.0","openPrice":"{open}","highPrice":"{high}","lowPrice":"{low}","volume":"{volume}","quoteVolume":"{quote_volume}","openTime":{open_time},"closeTime":{close},"firstId":28385,"lastId":28460,"count":{number}}}"#
    )
}

/// The message of the exchange's combined stream.
pub fn message(symbol: &str, number: u64) -> String {
    let [price, open, high, low, volume, quote_volume, change, percent] = numbers(number);
    let (close, sent) = (event_time_ms(number), event_time_ms(number) + 17);
    let stream = symbol.to_lowercase();
    format!(
        r#"{{"stream":"{stream}@ticker","data":{{"e":"24hrTicker","E":{sent},"s":"{symbol}","p":"{change}","P":"{percent}","w":"67000.1","x":"66000.00","c":"{price}","Q":"0.1","b":"1.0","B":"2.0","a":"1.1","A":"3.0","o":"{open}","h":"{high}","l":"{low}","v":"{volume}","q":"{quote_volume}","O":0,"C":{close},"F":1,"L":2,"n":{number}}}}}"#
    )
}

/// The beginning of the message in the topic: all but the time at which it was made.
fn record(symbol: &str, number: u64) -> String {
    let [price, open, high, low, volume, quote_volume, change, percent] = numbers(number);
    let event_time = event_time_ms(number);
    format!(
        r#"{{"symbol":"{symbol}","event_time":{event_time},"price":{price},"open":{open},"high":{high},"low":{low},"volume":{volume},"quote_volume":{quote_volume},"number_trades":{number},"price_change":{change},"price_change_percent":{percent},"timestamp":""#
    )
}

/// The numbers of each symbol's tickers in a topic, in its order, after a look at every byte and every key.
///
/// # Errors
/// A record is not what its ticker becomes, or has another key than its symbol.
pub fn numbers_in(broker: &Broker, topic: &str, partitions: i32) -> Result<BTreeMap<String, Vec<u64>>> {
    for record in read_headed(broker, topic, partitions)? {
        let value: serde_json::Value = serde_json::from_slice(&record.value.unwrap_or_default())?;
        ensure!(value["symbol"].as_str().map(str::as_bytes) == record.key.as_deref(), "another key: {value}");
    }
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (_, _, value) in read_all(broker, topic, partitions)? {
        let text = String::from_utf8(value.context("a tombstone")?)?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let symbol = value["symbol"].as_str().context("no symbol")?;
        let number = value["number_trades"].as_u64().context("no number")?;
        let timestamp =
            text.strip_prefix(&record(symbol, number)).with_context(|| format!("other bytes: {text}"))?;
        let timestamp = timestamp.strip_suffix("\"}").context("no end")?;
        ensure!(timestamp.len() == "2026-01-01T00:00:00.000000Z".len(), "{timestamp}");
        DateTime::parse_from_rfc3339(timestamp)?;
        numbers.entry(symbol.to_owned()).or_default().push(number);
    }
    Ok(numbers)
}
