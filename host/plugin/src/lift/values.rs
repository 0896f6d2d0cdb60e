//! The checks of one column's flat lists: validity bits, offsets, text, keys and
//! decimals. Each gives an Arrow buffer or array, or says which row is at fault.

use arrow_array::types::ByteArrayType;
use arrow_array::{ArrowPrimitiveType, GenericByteArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;

use crate::ColumnFault;
use crate::bindings::speed_layer::plugin::types::VarBytesResult;

/// A list with one element a row.
pub(super) fn primitive<T: ArrowPrimitiveType>(
    rows: usize,
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> Result<PrimitiveArray<T>, ColumnFault> {
    check_length(rows, values.len())?;
    PrimitiveArray::try_new(ScalarBuffer::from(values), nulls).map_err(|error| arrow(&error))
}

/// Packed bits, one a row, in exactly as many bytes as they need.
pub(super) fn booleans(rows: usize, bytes: Vec<u8>) -> Result<BooleanBuffer, ColumnFault> {
    let (expected, found) = (rows.div_ceil(8), bytes.len());
    if expected != found {
        return Err(ColumnFault::BooleanBytes { expected, found });
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows))
}

/// The nulls of a column; none where every row has a value.
pub(super) fn nulls(
    rows: usize,
    nullable: bool,
    validity: Option<Vec<u8>>,
) -> Result<Option<NullBuffer>, ColumnFault> {
    let Some(bytes) = validity else { return Ok(None) };
    let (expected, found) = (rows.div_ceil(8), bytes.len());
    if expected != found {
        return Err(ColumnFault::ValidityBytes { expected, found });
    }
    let nulls = NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows));
    if nulls.null_count() == 0 {
        return Ok(None);
    }
    match (0..rows).find(|row| nulls.is_null(*row)) {
        Some(row) if !nullable => Err(ColumnFault::Null { row }),
        _ => Ok(Some(nulls)),
    }
}

/// Variable-width bytes.
pub(super) fn bytes<T: ByteArrayType<Offset = i32>>(
    rows: usize,
    var: VarBytesResult,
    nulls: Option<NullBuffer>,
) -> Result<GenericByteArray<T>, ColumnFault> {
    check_offsets(rows, &var)?;
    let (offsets, data) = buffers(var);
    GenericByteArray::try_new(offsets, data, nulls).map_err(|error| arrow(&error))
}

/// Variable-width UTF-8, valid from each offset to the next.
pub(super) fn text(
    rows: usize,
    var: VarBytesResult,
    nulls: Option<NullBuffer>,
) -> Result<StringArray, ColumnFault> {
    check_offsets(rows, &var)?;
    let (offsets, data) = buffers(var);
    // The array's own constructor checks the text in one pass; the row is looked for
    // only when it refuses.
    StringArray::try_new(offsets.clone(), data.clone(), nulls).map_err(|error| {
        let slices = offsets.windows(2).map(|ends| &data[ends[0] as usize..ends[1] as usize]);
        match slices.into_iter().position(|slice| std::str::from_utf8(slice).is_err()) {
            Some(row) => ColumnFault::NotUtf8 { row },
            None => arrow(&error),
        }
    })
}

/// Two words a row, low first, of at most `precision` decimal digits where not null.
pub(super) fn decimals(
    rows: usize,
    precision: u8,
    words: &[u64],
    nulls: Option<&NullBuffer>,
) -> Result<Vec<i128>, ColumnFault> {
    check_length(2 * rows, words.len())?;
    let (pairs, _) = words.as_chunks::<2>();
    let values: Vec<i128> =
        pairs.iter().map(|[low, high]| (u128::from(*low) | u128::from(*high) << 64).cast_signed()).collect();
    let beyond = 10_u128.pow(u32::from(precision));
    let is_valid = |row| nulls.is_none_or(|nulls| nulls.is_valid(row));
    match values.iter().enumerate().position(|(row, value)| value.unsigned_abs() >= beyond && is_valid(row)) {
        Some(row) => Err(ColumnFault::Digits { row, precision }),
        None => Ok(values),
    }
}

/// Each key of a valid row must be less than the count of values.
pub(super) fn check_keys(
    rows: usize,
    keys: &[u32],
    values: usize,
    nulls: Option<&NullBuffer>,
) -> Result<(), ColumnFault> {
    check_length(rows, keys.len())?;
    let is_valid = |row| nulls.is_none_or(|nulls| nulls.is_valid(row));
    match keys.iter().enumerate().position(|(row, key)| *key as usize >= values && is_valid(row)) {
        Some(row) => Err(ColumnFault::Key { row, key: keys[row], values }),
        None => Ok(()),
    }
}

/// Offsets have rows + 1 entries, begin with 0, never fall and end with the data.
pub(super) fn check_offsets(rows: usize, var: &VarBytesResult) -> Result<(), ColumnFault> {
    let (expected, found) = (rows + 1, var.offsets.len());
    if expected != found {
        return Err(ColumnFault::OffsetCount { expected, found });
    }
    let bytes = var.data.len();
    if i32::try_from(bytes).is_err() {
        return Err(ColumnFault::TooLong { bytes });
    }
    if !var.offsets.is_sorted() {
        let row = var.offsets.windows(2).position(|ends| ends[1] < ends[0]).unwrap_or(0);
        return Err(ColumnFault::OffsetsFall { row });
    }
    match (var.offsets[0], var.offsets[rows]) {
        (0, end) if end as usize == bytes => Ok(()),
        (0, end) => Err(ColumnFault::OffsetsEnd { found: end, bytes }),
        (found, _) => Err(ColumnFault::OffsetsBegin { found }),
    }
}

/// Checked offsets and their data as Arrow's buffers, without a copy. The offsets fit
/// into i32 because the data's length does.
fn buffers(var: VarBytesResult) -> (OffsetBuffer<i32>, Buffer) {
    let offsets = ScalarBuffer::<i32>::from(Buffer::from_vec(var.offsets));
    (OffsetBuffer::new(offsets), Buffer::from_vec(var.data))
}

fn check_length(expected: usize, found: usize) -> Result<(), ColumnFault> {
    if expected == found { Ok(()) } else { Err(ColumnFault::Length { expected, found }) }
}

pub(super) fn arrow(error: &ArrowError) -> ColumnFault {
    ColumnFault::Arrow { detail: error.to_string() }
}
