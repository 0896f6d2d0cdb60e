//! Records into the parser and rows out of it, as JSON: a vocabulary for its tests.

#![allow(dead_code, reason = "each test binary uses its part")]

use serde_json::{Value as Json, json};
use speed_layer_sdk::parse::{self, NullableBytes};
use speed_layer_sdk::prelude::*;
use ticker_json::TickerJson;

/// What became of a record: its row, or the kind and message of its reject.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Row(Json),
    Reject(String, String),
}

/// All twelve columns of a tick.
pub const ALL: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// A tick that is right.
pub const GOOD: &str = r#"{"symbol": "BTCUSDT", "event_time": 1764720000123, "price": 92000.5, "open": 91000.0, "high": 93000.25, "low": 90000.75, "volume": 1234.567, "quote_volume": 113580246.91234567, "number_trades": 4321, "price_change": 1000.5, "price_change_percent": 1.099, "timestamp": "2025-12-03T00:00:00.123000"}"#;

/// A parser that has read nothing yet, so that its next record takes the general way.
pub fn fresh(config: &str, wanted: &[u32]) -> TickerJson {
    parse::open(config, wanted).unwrap()
}

/// A batch of these values; none is a tombstone.
pub fn batch(records: &[Option<&[u8]>]) -> RawBatch {
    let mut bytes = VarBytes { offsets: vec![0], data: vec![] };
    let mut validity = vec![0; records.len().div_ceil(8)];
    for (row, record) in records.iter().enumerate() {
        bytes.data.extend_from_slice(record.unwrap_or_default());
        bytes.offsets.push(bytes.data.len() as u32);
        validity[row / 8] |= u8::from(record.is_some()) << (row % 8);
    }
    let value = Some(NullableBytes { validity: Some(validity), bytes });
    RawBatch { rows: records.len() as u32, key: None, value, headers: None, timestamps: None }
}

/// What becomes of each record of a batch.
pub fn outcomes(parser: &mut TickerJson, wanted: &[u32], records: &[Option<&[u8]>]) -> Vec<Outcome> {
    let context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };
    let parsed = parser.parse(&context, batch(records)).unwrap();
    let fields = parser.describe().output.fields;
    let names: Vec<&str> = wanted.iter().map(|&number| fields[number as usize].name.as_str()).collect();
    let kept = parsed.records.clone().unwrap_or_else(|| (0..records.len() as u32).collect());
    assert_eq!(kept.len(), parsed.rows.rows as usize);
    let outcome = |record: u32| match kept.iter().position(|&kept| kept == record) {
        Some(row) => Outcome::Row(row_json(&names, &parsed.rows.columns, row)),
        None => reject(&parsed, record),
    };
    (0..records.len() as u32).map(outcome).collect()
}

fn reject(parsed: &Parsed, record: u32) -> Outcome {
    let rejects = &parsed.rejects;
    let place = rejects.rows.iter().position(|&row| row == record).expect("neither kept nor rejected");
    let text = |bytes: &VarBytes| {
        let range = bytes.offsets[place] as usize..bytes.offsets[place + 1] as usize;
        String::from_utf8(bytes.data[range].to_vec()).unwrap()
    };
    Outcome::Reject(text(&rejects.kinds), text(&rejects.messages))
}

fn row_json(names: &[&str], columns: &[Column], row: usize) -> Json {
    let entries =
        names.iter().zip(columns).map(|(name, column)| ((*name).to_owned(), cell_json(column, row)));
    Json::Object(entries.collect())
}

fn cell_json(column: &Column, row: usize) -> Json {
    match &column.data {
        ColumnData::S32(_) => json!(View::<i32>::of(column).unwrap().get(row)),
        ColumnData::S64(_) => json!(View::<i64>::of(column).unwrap().get(row)),
        ColumnData::F32(_) => json!(View::<f32>::of(column).unwrap().get(row)),
        ColumnData::F64(_) => json!(View::<f64>::of(column).unwrap().get(row)),
        ColumnData::Boolean(bits) => {
            let is_valid = column.validity.as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1);
            json!(is_valid.then(|| bits[row / 8] >> (row % 8) & 1 == 1))
        }
        _ => json!(TextView::of(column).unwrap().get(row)),
    }
}
