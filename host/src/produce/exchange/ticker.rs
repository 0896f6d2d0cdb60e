//! An exchange's 24-hour ticker, as its REST answer or its stream has it, becomes a message
//! of twelve fields. Bytes in, bytes out: no network and no clock.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::decimal::is_json_number;
use super::skip::{Reason, Skip};

/// The longest answer that is looked at; a ticker has about 700 bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What kind of event the stream's messages must be.
const EVENT: &str = "24hrTicker";

/// How one of the exchange's two forms names what becomes our fields.
struct Names {
    symbol: &'static str,
    event_time: &'static str,
    number_trades: &'static str,
    /// In the order of [`NUMBERS`].
    numbers: [&'static str; 8],
}

/// Our names of the numbers. All of them are text at the exchange.
const NUMBERS: [&str; 8] =
    ["price", "open", "high", "low", "volume", "quote_volume", "price_change", "price_change_percent"];

const ANSWER: Names = Names {
    symbol: "symbol",
    event_time: "closeTime",
    number_trades: "count",
    numbers: [
        "lastPrice",
        "openPrice",
        "highPrice",
        "lowPrice",
        "volume",
        "quoteVolume",
        "priceChange",
        "priceChangePercent",
    ],
};

/// `C`, the close of the statistics, is the answer's `closeTime`; `E` is when it was sent.
const STREAM: Names = Names {
    symbol: "s",
    event_time: "C",
    number_trades: "n",
    numbers: ["c", "o", "h", "l", "v", "q", "p", "P"],
};

/// A ticker whose numbers have the digits that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    pub symbol: String,
    /// Milliseconds since 1970 UTC.
    pub event_time_ms: i64,
    number_trades: i64,
    numbers: [String; 8],
}

impl Tick {
    /// Reads the answer to the question for `symbol`.
    ///
    /// # Errors
    /// It is not that: which of its parts is wrong.
    pub fn of_answer(body: &[u8], symbol: &str) -> Result<Self, Skip> {
        let tick = read(&object(body)?, &ANSWER)?;
        if tick.symbol != symbol {
            let found = format!("asked for {symbol}, it is {:?}", tick.symbol);
            return Err(Skip::new(Reason::OtherSymbol, found));
        }
        Ok(tick)
    }

    /// Reads a message of the combined stream of `symbols`.
    ///
    /// # Errors
    /// It is no ticker of these.
    pub fn of_stream(message: &[u8], symbols: &[String]) -> Result<Self, Skip> {
        let envelope = object(message)?;
        let data = match envelope.get("data") {
            Some(Value::Object(data)) => data,
            other => return Err(Skip::field("data", "an object", other)),
        };
        if data.get("e").and_then(Value::as_str) != Some(EVENT) {
            return Err(Skip::field("e", EVENT, data.get("e")));
        }
        let tick = read(data, &STREAM)?;
        let stream = text(&envelope, "stream")?;
        if !symbols.contains(&tick.symbol) || stream != stream_of(&tick.symbol) {
            let found = format!("the stream {stream:?} has {:?}", tick.symbol);
            return Err(Skip::new(Reason::OtherSymbol, found));
        }
        Ok(tick)
    }

    /// The twelve fields as JSON, with the producer's clock as `timestamp`.
    pub fn to_json(&self, now: DateTime<Utc>) -> Vec<u8> {
        let mut out = String::with_capacity(400);
        out.push_str("{\"symbol\":");
        out.push_str(&Value::from(self.symbol.as_str()).to_string());
        out.push_str(&format!(",\"event_time\":{}", self.event_time_ms));
        let (before_trades, after_trades) = self.numbers.split_at(6);
        push_numbers(&mut out, &NUMBERS[..6], before_trades);
        out.push_str(&format!(",\"number_trades\":{}", self.number_trades));
        push_numbers(&mut out, &NUMBERS[6..], after_trades);
        let timestamp = now.format("%Y-%m-%dT%H:%M:%S%.6fZ");
        out.push_str(&format!(",\"timestamp\":\"{timestamp}\"}}"));
        out.into_bytes()
    }
}

/// The name of a symbol's ticker stream.
pub fn stream_of(symbol: &str) -> String {
    format!("{}@ticker", symbol.to_lowercase())
}

fn push_numbers(out: &mut String, names: &[&str], numbers: &[String]) {
    for (name, number) in names.iter().zip(numbers) {
        out.push_str(&format!(",\"{name}\":{number}"));
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Skip> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Skip::with_text(Reason::NotATicker, "it is JSON and no object", bytes)),
        Err(error) => Err(Skip::with_text(Reason::NotJson, &format!("it is no JSON ({error})"), bytes)),
    }
}

fn read(fields: &Map<String, Value>, names: &Names) -> Result<Tick, Skip> {
    let symbol = text(fields, names.symbol)?.to_owned();
    let event_time_ms = count(fields, names.event_time)?;
    let number_trades = count(fields, names.number_trades)?;
    let mut numbers = [const { String::new() }; 8];
    for (number, name) in numbers.iter_mut().zip(names.numbers) {
        *number = decimal(fields, name)?.to_owned();
    }
    Ok(Tick { symbol, event_time_ms, number_trades, numbers })
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Skip> {
    let found = fields.get(name);
    found.and_then(Value::as_str).ok_or_else(|| Skip::field(name, "text", found))
}

/// A whole number that is not negative and fits the field's type.
fn count(fields: &Map<String, Value>, name: &str) -> Result<i64, Skip> {
    let found = fields.get(name);
    let number = found.and_then(Value::as_i64).filter(|number| *number >= 0);
    number.ok_or_else(|| Skip::field(name, "a whole number", found))
}

fn decimal<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Skip> {
    let found = text(fields, name)?;
    if is_json_number(found) {
        Ok(found)
    } else {
        Err(Skip::field(name, "a number as text", fields.get(name)))
    }
}

#[cfg(test)]
#[path = "ticker_tests.rs"]
mod tests;
