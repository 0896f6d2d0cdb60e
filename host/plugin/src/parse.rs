//! The parse stage: packed records in, columns out. Lends the guest those parts of the
//! records that it reads and no more.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use speed_layer_core::records::{NullableBytes, Records, TimestampKind};

use crate::bindings::exports::speed_layer::plugin::parse::{self, Guest};
use crate::bindings::speed_layer::plugin::types::VarBytesParam;
use crate::instance::Instance;
use crate::lift::{check_records, lift_batch};
use crate::plugin::{Entry, check_rising};
use crate::{
    Callback, Clause, Context, ParseDescription, Plugin, PluginError, RawFields, Rejects, Stage, Timed,
};

/// What one call made of its records.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The wanted columns.
    pub rows: RecordBatch,
    /// The record of each row, never falling; `None` when row i is record i.
    pub records: Option<Vec<u32>>,
    /// Records that were refused; none of them gave a row.
    pub rejects: Rejects,
}

/// An open parser. May move between threads; serves one at a time.
pub struct Parser {
    instance: Instance<Guest>,
    reads: RawFields,
    output: SchemaRef,
}

impl Parser {
    pub(crate) fn describe(plugin: &Plugin, config: &str) -> Result<ParseDescription, PluginError> {
        describe(&mut start(plugin, Callback::Describe)?, config)
    }

    pub(crate) fn open(plugin: &Plugin, config: &str, wanted: &[u32]) -> Result<Self, PluginError> {
        let mut instance = start(plugin, Callback::Open)?;
        let description = describe(&mut instance, config)?;
        let fields = description.output.fields();
        instance.offer(Callback::Open, check_rising("wanted", wanted, fields.len()))?;
        let output = instance.offer(Callback::Open, project(&description.output, wanted))?;
        instance.call_refusable(Callback::Open, |guest, store| guest.call_open(store, config, wanted))?;
        Ok(Self { instance, reads: description.reads, output })
    }

    /// The columns that it gives, as they were wanted.
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Parses a batch. On an error none of it counts.
    pub fn parse(&mut self, context: &Context, records: &Records) -> Result<Parsed, PluginError> {
        let raw = self.instance.offer(Callback::Parse, lower_records(records, self.reads))?;
        let parsed = self.instance.call_batch(Callback::Parse, records.len(), |guest, store| {
            guest.call_parse(store, context.into(), raw)
        })?;
        let checked = lift_parsed(&self.output, records.len(), parsed, self.instance.output_rows_max());
        self.instance.accept(Callback::Parse, checked)
    }
}

impl Timed for Parser {
    fn set_times(&mut self, times: f64) {
        self.instance.set_times(times);
    }
}

fn start(plugin: &Plugin, callback: Callback) -> Result<Instance<Guest>, PluginError> {
    let Entry::Parse(indices, pre) = &plugin.loaded().entry else {
        return Err(plugin.wrong_stage(Stage::Parse, callback));
    };
    Instance::start(plugin, pre, |store, instance| indices.load(store, instance))
}

fn describe(instance: &mut Instance<Guest>, config: &str) -> Result<ParseDescription, PluginError> {
    let description =
        instance.call_refusable(Callback::Describe, |guest, store| guest.call_describe(store, config))?;
    instance.accept(Callback::Describe, ParseDescription::lift(description))
}

fn project(output: &SchemaRef, wanted: &[u32]) -> Result<SchemaRef, String> {
    let columns: Vec<usize> = wanted.iter().map(|number| *number as usize).collect();
    output.project(&columns).map(Arc::new).map_err(|error| error.to_string())
}

fn lift_parsed(
    output: &SchemaRef,
    given: usize,
    parsed: parse::Parsed,
    rows_max: usize,
) -> Result<Parsed, Clause> {
    let rejects = Rejects::lift(given, parsed.rejects)?;
    let rows = lift_batch(output, parsed.rows, rows_max)?;
    check_records(rows.num_rows(), given, parsed.records.as_deref(), &rejects.rows)?;
    Ok(Parsed { rows, records: parsed.records, rejects })
}

fn lower_records(records: &Records, reads: RawFields) -> Result<parse::RawBatch<'_>, String> {
    let rows = u32::try_from(records.len()).map_err(|_| "there are more than 2^32 records".to_owned())?;
    Ok(parse::RawBatch {
        rows,
        key: reads.key.then(|| lower_nullable(&records.keys)),
        value: reads.value.then(|| lower_nullable(&records.values)),
        headers: if reads.headers { Some(lower_headers(records)?) } else { None },
        timestamps: reads.timestamp.then(|| lower_timestamps(records)),
    })
}

fn lower_nullable(bytes: &NullableBytes) -> parse::NullableBytes<'_> {
    parse::NullableBytes { validity: bytes.validity(), bytes: lower_bytes(bytes) }
}

fn lower_bytes(bytes: &NullableBytes) -> VarBytesParam<'_> {
    VarBytesParam { offsets: bytes.offsets(), data: bytes.data() }
}

fn lower_headers(records: &Records) -> Result<parse::Headers<'_>, String> {
    let headers = records.headers.as_ref().ok_or("the parser reads headers and the batch holds none")?;
    Ok(parse::Headers {
        starts: headers.starts(),
        names: lower_bytes(headers.names()),
        values: lower_nullable(headers.values()),
    })
}

fn lower_timestamps(records: &Records) -> parse::Timestamps<'_> {
    let kind = match records.timestamp_kind {
        TimestampKind::NotAvailable => parse::TimestampType::NotAvailable,
        TimestampKind::CreateTime => parse::TimestampType::CreateTime,
        TimestampKind::LogAppendTime => parse::TimestampType::LogAppendTime,
    };
    parse::Timestamps { ms: &records.timestamps_ms, kind }
}
