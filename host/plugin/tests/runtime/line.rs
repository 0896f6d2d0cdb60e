//! Ticks, the parser's rows of them, and an aggregate over these: a vocabulary for the tests of plugins.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use speed_layer_core::records::Records;
use speed_layer_plugin::{
    AggregateDescription, Aggregator, Finished, Need, Parsed, Parser, Plugin, PluginError,
};

use crate::support::{CONTEXT, built};

/// A tick of symbol A, B or C, its price rising by 1 a row; 2025-01-01 and a second a row.
pub fn tick(row: i64) -> String {
    let symbol = ["A", "B", "C"][row as usize % 3];
    let (price, time) = (100 + row, 1_735_689_600_000_i64 + 1_000 * row);
    format!(
        r#"{{"symbol":"{symbol}","price":{price}.5,"price_change":1.0,"price_change_percent":0.1,"volume":{row}.0,"quote_volume":2.0,"high":{price}.75,"low":{price}.25,"open":{price}.0,"event_time":{time},"number_trades":3,"ingestion_time":"2025-01-01T00:00:00Z"}}"#
    )
}

pub fn records<'a>(values: impl IntoIterator<Item = Option<&'a [u8]>>) -> Records {
    let mut records = Records::default();
    for (offset, value) in (0..).zip(values) {
        records.partitions.push(0);
        records.offsets.push(offset);
        records.timestamps_ms.push(-1);
        records.keys.push(None);
        records.values.push(value);
    }
    records
}

pub fn ticks(rows: i64) -> Records {
    let texts: Vec<String> = (0..rows).map(tick).collect();
    records(texts.iter().map(|text| Some(text.as_bytes())))
}

pub fn open_all(plugin: &Plugin) -> Parser {
    let description = plugin.describe_parse("{}").unwrap();
    let wanted: Vec<u32> = (0..description.output.fields().len() as u32).collect();
    plugin.open_parse("{}", &wanted).unwrap()
}

pub fn parse(records: &Records) -> Parsed {
    open_all(&built("ticker_json")).parse(&CONTEXT, records).unwrap()
}

/// An open aggregate, and the columns that it needs of the ticks.
pub struct Line {
    pub aggregate: Aggregator,
    pub description: AggregateDescription,
    pub columns: Vec<ArrayRef>,
}

/// One of the repository's own over so many ticks.
pub fn line(name: &str, rows: i64) -> Line {
    line_of(&built(name), rows).unwrap()
}

/// Any aggregate over so many ticks.
pub fn line_of(plugin: &Plugin, rows: i64) -> Result<Line, PluginError> {
    let parsed = parse(&ticks(rows));
    let schema = parsed.rows.schema();
    let description = plugin.describe_aggregate("{}", &schema)?;
    let columns = description.needs.iter().map(|need| column(need, &parsed.rows)).collect();
    Ok(Line { aggregate: plugin.open_aggregate("{}", &schema)?, description, columns })
}

fn column(need: &Need, rows: &RecordBatch) -> ArrayRef {
    let count = rows.num_rows();
    let numbers = 0..count as i64;
    match need {
        Need::Column(name) => rows.column_by_name(name).unwrap().clone(),
        Need::EventTime | Need::KafkaTimestamp => {
            Arc::new(TimestampMicrosecondArray::from_iter_values(numbers).with_timezone("UTC"))
        }
        Need::Partition | Need::Ordinal => Arc::new(Int32Array::from(vec![0; count])),
        Need::Offset => Arc::new(Int64Array::from_iter_values(numbers)),
    }
}

impl Line {
    pub fn identities(&self, groups: usize) -> RecordBatch {
        let identity = &self.description.state.identity;
        let indices = arrow_array::UInt32Array::from(vec![0; groups]);
        arrow_select::take::take_record_batch(identity, &indices).unwrap()
    }

    /// States of three groups, from the given part of the rows.
    pub fn update(&mut self, from: usize, to: usize, states: &RecordBatch) -> RecordBatch {
        self.try_update(from, to, states).unwrap()
    }

    pub fn try_update(
        &mut self,
        from: usize,
        to: usize,
        states: &RecordBatch,
    ) -> Result<RecordBatch, PluginError> {
        let columns: Vec<ArrayRef> =
            self.columns.iter().map(|column| column.slice(from, to - from)).collect();
        let rows: Vec<u32> = (0..(to - from) as u32).collect();
        let groups: Vec<u32> = (from..to).map(|row| row as u32 % 3).collect();
        self.aggregate.update(&CONTEXT, to - from, &columns, &rows, &groups, states)
    }

    pub fn finish(&mut self, states: &RecordBatch) -> RecordBatch {
        let finished = self.try_finish(states).unwrap();
        assert!(finished.notes.is_empty());
        finished.rows
    }

    pub fn try_finish(&mut self, states: &RecordBatch) -> Result<Finished, PluginError> {
        let schema = Arc::new(Schema::new(vec![Field::new("symbol", DataType::Utf8, false)]));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["A", "B", "C"]));
        let keys = RecordBatch::try_new(schema, vec![names]).unwrap();
        let (start, end) = ([0; 3], [1; 3]);
        self.aggregate.finish(&CONTEXT, states, &keys, &start, &end, true)
    }
}

/// The output of one group, by name; a null is not there.
pub fn numbers(rows: &RecordBatch, row: usize) -> HashMap<String, f64> {
    let value = |column: &ArrayRef| match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
        _ => column.as_primitive::<Float64Type>().value(row),
    };
    let names = rows.schema_ref().fields().iter().map(|field| field.name().clone());
    let values = rows.columns().iter().map(|column| column.is_valid(row).then(|| value(column)));
    names.zip(values).filter_map(|(name, value)| Some((name, value?))).collect()
}
