//! From what a guest returned to Arrow: what passes the host's checks is a batch that Arrow itself finds right and
//! holds what was given, and the checks of where rows came from agree with plain ones.
//!
//! The input is read as choices: mostly right values, with a fault here and there.

#![no_main]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use libfuzzer_sys::arbitrary::{Result as Chosen, Unstructured};
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the runtime has uses for all of it")]
#[path = "../../host/plugin/src/clause.rs"]
mod clause;
#[allow(dead_code, reason = "the runtime has uses for all of it")]
#[path = "../../host/plugin/src/lift/mod.rs"]
mod lift;
#[allow(dead_code, reason = "the runtime has uses for all of it")]
#[path = "../../host/plugin/src/printable.rs"]
mod printable;
#[path = "../../host/plugin/src/schema.rs"]
mod schema;

pub use clause::{Clause, ColumnFault};
use lift::{Rejects, check_kept, check_records, lift_batch, lift_exactly};

/// What a description may need; none is made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {}

impl std::fmt::Display for Need {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

/// The contract's types as the guests' side generates them from `wit/`, by the names that the host's side has.
mod bindings {
    pub mod speed_layer {
        pub mod plugin {
            pub mod types {
                pub use speed_layer_sdk::types::{
                    Batch as BatchResult, Column as ColumnResult, ColumnData as ColumnDataResult, DataType,
                    DecimalShape, Dictionary as DictionaryResult, Field as FieldResult, Rejects,
                    Schema as SchemaResult, VarBytes as VarBytesResult,
                };

                #[derive(Debug)]
                pub struct FieldParam<'a> {
                    pub name: &'a str,
                    pub data_type: DataType,
                    pub nullable: bool,
                }
            }
        }
    }
}

use bindings::speed_layer::plugin::types;

const ROWS_MAX: u32 = 20;

fuzz_target!(|input| {
    // A choice that the input is too short for ends the trial.
    let _ = check(&mut Unstructured::new(input));
});

fn check(u: &mut Unstructured<'_>) -> Chosen<()> {
    let fields = some(u, 4, field)?;
    let declared: Vec<types::DataType> = fields.iter().map(|field| field.data_type).collect();
    let Ok(schema) = schema::lift("output", types::SchemaResult { fields }) else { return Ok(()) };
    check_schema(&schema, &declared);
    let rows = u.int_in_range(0..=ROWS_MAX)?;
    let mut columns = declared.iter().map(|kind| column(u, *kind, rows)).collect::<Chosen<Vec<_>>>()?;
    if u.ratio(1, 16)? {
        columns.pop();
    }
    let batch = types::BatchResult { rows, columns };
    let expected = if u.ratio(1, 16)? { rows + 1 } else { rows } as usize;
    let exactly = lift_exactly(&schema, batch.clone(), expected);
    let lifted = lift_batch(&schema, batch.clone(), expected);
    if let Ok(exactly) = &exactly {
        assert_eq!(exactly.num_rows(), expected);
        assert!(lifted.is_ok());
    }
    if let Ok(lifted) = lifted {
        check_batch(&schema, &batch, &lifted);
    }
    check_origins(u)
}

fn check_schema(schema: &SchemaRef, declared: &[types::DataType]) {
    let lowered = schema::lower(schema).expect("what was lifted can be lowered");
    let types = lowered.iter().map(|field| format!("{:?}", field.data_type));
    assert!(types.eq(declared.iter().map(|kind| format!("{kind:?}"))));
    assert!(lowered.iter().all(|field| !field.name.is_empty() && field.name.len() < 256));
    assert!(lowered.iter().zip(schema.fields()).all(|(one, other)| one.nullable == other.is_nullable()));
}

fn check_batch(schema: &SchemaRef, given: &types::BatchResult, lifted: &RecordBatch) {
    assert_eq!(lifted.schema(), *schema);
    assert_eq!(lifted.num_rows(), given.rows as usize);
    for ((field, column), given) in schema.fields().iter().zip(lifted.columns()).zip(&given.columns) {
        column.to_data().validate_full().unwrap_or_else(|error| panic!("{field}: {error}"));
        assert_eq!(column.data_type(), field.data_type());
        assert!(field.is_nullable() || column.null_count() == 0);
        (0..column.len()).for_each(|row| check_cell(column, row, given));
    }
}

/// Valid where its bit says so, and then the value that was given.
fn check_cell(column: &Arc<dyn Array>, row: usize, given: &types::ColumnResult) {
    let bit = given.validity.as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1);
    assert_eq!(column.is_valid(row), bit);
    if !bit {
        return;
    }
    match &given.data {
        types::ColumnDataResult::S32(list) => {
            assert_eq!(column.as_primitive::<Int32Type>().value(row), list[row])
        }
        types::ColumnDataResult::S64(list) => {
            assert_eq!(column.as_primitive::<Int64Type>().value(row), list[row])
        }
        types::ColumnDataResult::Decimal128(words) => {
            let value = column.as_primitive::<Decimal128Type>().value(row).cast_unsigned();
            assert_eq!((value as u64, (value >> 64) as u64), (words[2 * row], words[2 * row + 1]));
        }
        types::ColumnDataResult::Utf8(var) => {
            assert_eq!(column.as_string::<i32>().value(row).as_bytes(), slice(var, row));
        }
        types::ColumnDataResult::Binary(var) => {
            assert_eq!(column.as_binary::<i32>().value(row), slice(var, row))
        }
        types::ColumnDataResult::DictionaryUtf8(list) => {
            let texts = column.as_any_dictionary().values().as_string::<i32>();
            let key = list.keys[row] as usize;
            assert_eq!(texts.value(key).as_bytes(), slice(&list.values, key));
        }
        _ => {}
    }
}

fn slice(var: &types::VarBytesResult, row: usize) -> &[u8] {
    &var.data[var.offsets[row] as usize..var.offsets[row + 1] as usize]
}

fn check_origins(u: &mut Unstructured<'_>) -> Chosen<()> {
    let given = u.int_in_range(0..=8_usize)?;
    let rejected = some(u, 4, |u| u.int_in_range(0..=8_u32))?;
    let count = rejected.len() as u32;
    let (kinds, messages) = (var_bytes(u, count, b"a-kind")?, var_bytes(u, count, "\u{1b}é".as_bytes())?);
    let Ok(rejects) = Rejects::lift(given, types::Rejects { rows: rejected, kinds, messages }) else {
        return Ok(());
    };
    check_rejects(&rejects, given);
    let origins = some(u, 8, |u| u.int_in_range(0..=8_u32))?;
    let rows = if u.ratio(1, 8)? { given } else { origins.len() };
    let origins = if u.ratio(1, 8)? { None } else { Some(origins.as_slice()) };
    let found = check_records(rows, given, origins, &rejects.rows);
    assert_eq!(found.is_ok(), is_right(rows, given, origins, &rejects.rows, |a, b| a <= b), "{found:?}");
    let found = check_kept(rows, given, origins, &rejects.rows);
    assert_eq!(found.is_ok(), is_right(rows, given, origins, &rejects.rows, |a, b| a < b), "{found:?}");
    Ok(())
}

fn check_rejects(rejects: &Rejects, given: usize) {
    assert!(
        rejects.rows.is_sorted_by(|a, b| a < b) && rejects.rows.iter().all(|row| (*row as usize) < given)
    );
    assert!([rejects.kinds.len(), rejects.messages.len()] == [rejects.len(); 2]);
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    assert!(rejects.kinds.iter().all(|kind| (1..=64).contains(&kind.len()) && kind.bytes().all(is_plain)));
    assert!(rejects.messages.iter().all(|message| !message.contains(char::is_control)));
}

/// The clauses of the contract, word by word.
fn is_right(
    rows: usize,
    given: usize,
    origins: Option<&[u32]>,
    rejected: &[u32],
    rises: fn(u32, u32) -> bool,
) -> bool {
    match origins {
        None => rejected.is_empty() && rows == given,
        Some(origins) => {
            origins.len() == rows
                && origins.is_sorted_by(|a, b| rises(*a, *b))
                && origins.iter().all(|origin| (*origin as usize) < given && !rejected.contains(origin))
        }
    }
}

fn some<T>(
    u: &mut Unstructured<'_>,
    max: usize,
    one: impl Fn(&mut Unstructured<'_>) -> Chosen<T>,
) -> Chosen<Vec<T>> {
    let count = u.int_in_range(0..=max)?;
    (0..count).map(|_| one(u)).collect()
}

fn field(u: &mut Unstructured<'_>) -> Chosen<types::FieldResult> {
    let name = u.arbitrary::<&str>()?.to_owned();
    Ok(types::FieldResult { name, data_type: data_type(u)?, nullable: u.arbitrary()? })
}

fn data_type(u: &mut Unstructured<'_>) -> Chosen<types::DataType> {
    Ok(match u.int_in_range(0..=10_u8)? {
        0 => types::DataType::Boolean,
        1 => types::DataType::S32,
        2 => types::DataType::S64,
        3 => types::DataType::F32,
        4 => types::DataType::F64,
        5 => types::DataType::Date32,
        6 => types::DataType::TimestampUs,
        7 => types::DataType::Utf8,
        8 => types::DataType::Binary,
        9 => types::DataType::DictionaryUtf8,
        _ => types::DataType::Decimal128(types::DecimalShape {
            precision: u.arbitrary()?,
            scale: u.arbitrary()?,
        }),
    })
}

fn column(u: &mut Unstructured<'_>, kind: types::DataType, rows: u32) -> Chosen<types::ColumnResult> {
    let validity = if u.arbitrary()? { Some(list(u, rows.div_ceil(8))?) } else { None };
    let kind = if u.ratio(1, 16)? { data_type(u)? } else { kind };
    Ok(types::ColumnResult { validity, data: column_data(u, kind, rows)? })
}

fn column_data(
    u: &mut Unstructured<'_>,
    kind: types::DataType,
    rows: u32,
) -> Chosen<types::ColumnDataResult> {
    Ok(match kind {
        types::DataType::Boolean => types::ColumnDataResult::Boolean(list(u, rows.div_ceil(8))?),
        types::DataType::S32 => types::ColumnDataResult::S32(list(u, rows)?),
        types::DataType::S64 => types::ColumnDataResult::S64(list(u, rows)?),
        types::DataType::F32 => types::ColumnDataResult::F32(list(u, rows)?),
        types::DataType::F64 => types::ColumnDataResult::F64(list(u, rows)?),
        types::DataType::Date32 => types::ColumnDataResult::Date32(list(u, rows)?),
        types::DataType::TimestampUs => types::ColumnDataResult::TimestampUs(list(u, rows)?),
        types::DataType::Decimal128(_) => types::ColumnDataResult::Decimal128(list(u, 2 * rows)?),
        types::DataType::Utf8 => types::ColumnDataResult::Utf8(var_bytes(u, rows, "é".as_bytes())?),
        types::DataType::Binary => types::ColumnDataResult::Binary(var_bytes(u, rows, b"\xff\0")?),
        types::DataType::DictionaryUtf8 => {
            let count = u.int_in_range(0..=4)?;
            let keys = (0..rows).map(|_| u.int_in_range(0..=4)).collect::<Chosen<_>>()?;
            let values = var_bytes(u, count, b"key")?;
            types::ColumnDataResult::DictionaryUtf8(types::DictionaryResult { keys, values })
        }
    })
}

/// Mostly of the right length.
fn list<'a, T: libfuzzer_sys::arbitrary::Arbitrary<'a>>(
    u: &mut Unstructured<'a>,
    count: u32,
) -> Chosen<Vec<T>> {
    let count = if u.ratio(1, 32)? { count ^ 1 } else { count };
    (0..count).map(|_| u.arbitrary()).collect()
}

/// Mostly as they should be: so many slices, of `usual` or of any bytes.
fn var_bytes(u: &mut Unstructured<'_>, count: u32, usual: &[u8]) -> Chosen<types::VarBytesResult> {
    let (mut offsets, mut data) = (vec![0], Vec::new());
    for _ in 0..count {
        let bytes = if u.ratio(3, 4)? { usual } else { u.arbitrary::<&[u8]>()? };
        data.extend_from_slice(bytes);
        offsets.push(data.len() as u32);
    }
    if u.ratio(1, 16)? {
        let at = u.choose_index(offsets.len())?;
        offsets[at] = u.arbitrary()?;
    }
    if u.ratio(1, 16)? {
        data.pop();
    }
    Ok(types::VarBytesResult { offsets, data })
}
