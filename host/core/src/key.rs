//! Group keys as bytes: one or more key columns of a row become one string of bytes,
//! equal exactly when the keys are equal, and ordered as the keys are (column by
//! column, nulls last). It groups nothing and knows no windows.
//!
//! The form, column after column: a null is the byte 0xFF, which begins no other
//! value. Text that is the last column is its own bytes; text before another column
//! has its zero bytes written as `00 01` and ends with `00 00`. A value of any other
//! type is the byte 01 and then big-endian bytes with the sign bit turned over. A
//! single text column, the common case, is therefore read where it lies.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef, TimeUnit};

const NULL: u8 = 0xFF;
const VALUE: u8 = 0x01;
const ZERO_ESCAPED: [u8; 2] = [0, 1];
const TEXT_END: [u8; 2] = [0, 0];

/// Why keys cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("a key needs at least one column: name one with --key")]
    NoColumns,
    #[error("key column {column:?} is named twice: name each column once")]
    Twice { column: String },
    #[error("there is no column {column:?} to group by; the columns are {columns}: choose from these")]
    Unknown { column: String, columns: String },
    #[error("key column {column:?} has type {data_type}, which cannot be grouped by: {why}")]
    Type { column: String, data_type: DataType, why: &'static str },
    #[error("key column {column:?} came as {found} in place of {expected}")]
    Column { column: String, expected: DataType, found: DataType },
    #[error("keys have {expected} columns, but {found} were given")]
    ColumnCount { expected: usize, found: usize },
    #[error("the bytes of a stored key are damaged at key column {column:?}")]
    Damaged { column: String },
    #[error("the keys do not fit into one batch: {0}")]
    Arrow(#[from] ArrowError),
}

/// Encodes the key columns of one input schema.
#[derive(Debug, Clone)]
pub struct KeyEncoder {
    schema: SchemaRef,
    indices: Vec<usize>,
    names: Vec<String>,
}

/// The keys of a batch, one a row.
#[derive(Debug, Clone)]
pub struct EncodedKeys {
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// A single text column, as it came.
    Text(StringArray),
    /// A single column of numbered texts, as it came.
    Numbered { numbers: UInt32Array, texts: StringArray },
    /// Entry i is `data[offsets[i]..offsets[i + 1]]`.
    Packed { offsets: Vec<usize>, data: Vec<u8> },
}

impl EncodedKeys {
    /// Rows.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Text(texts) => texts.len(),
            Form::Numbered { numbers, .. } => numbers.len(),
            Form::Packed { offsets, .. } => offsets.len() - 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of row `row`, which must exist.
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        match &self.form {
            Form::Text(texts) => text_key(texts, row),
            Form::Numbered { numbers, .. } if numbers.is_null(row) => &[NULL],
            Form::Numbered { numbers, texts } => text_key(texts, numbers.values()[row] as usize),
            Form::Packed { offsets, data } => &data[offsets[row]..offsets[row + 1]],
        }
    }
}

#[inline]
fn text_key(texts: &StringArray, row: usize) -> &[u8] {
    if texts.is_null(row) {
        return &[NULL];
    }
    let offsets = texts.value_offsets();
    &texts.value_data()[offsets[row] as usize..offsets[row + 1] as usize]
}

/// The keys of a single column of texts, which need no encoding.
fn as_they_are(column: &ArrayRef) -> Option<Form> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Some(Form::Text(texts.clone()));
    }
    let dictionary = column.as_dictionary_opt::<UInt32Type>()?;
    let texts = dictionary.values().as_string_opt::<i32>()?.clone();
    Some(Form::Numbered { numbers: dictionary.keys().clone(), texts })
}

impl KeyEncoder {
    /// An encoder of the columns `names` of `input`, in that order.
    ///
    /// # Errors
    /// No name, one twice, one that is not there, or a type that cannot be grouped by.
    pub fn new(input: &Schema, names: &[String]) -> Result<Self, KeyError> {
        if names.is_empty() {
            return Err(KeyError::NoColumns);
        }
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(KeyError::Twice { column: twice.clone() });
        }
        let indices: Result<Vec<usize>, KeyError> = names.iter().map(|name| place(input, name)).collect();
        let indices = indices?;
        let fields: Vec<FieldRef> = indices.iter().map(|index| input.fields()[*index].clone()).collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), indices, names: names.to_vec() })
    }

    /// The key columns, as the input schema has them.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Where the key columns are in the input schema.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The names of the key columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The keys of a batch. `columns` are the key columns alone, in their order.
    ///
    /// # Errors
    /// The columns are not those of the schema.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<EncodedKeys, KeyError> {
        self.verify(columns)?;
        if let [column] = columns
            && let Some(form) = as_they_are(column)
        {
            return Ok(EncodedKeys { form });
        }
        let rows = columns.first().map_or(0, |column| column.len());
        let (mut offsets, mut data) = (Vec::with_capacity(rows + 1), Vec::with_capacity(rows * 16));
        offsets.push(0);
        for row in 0..rows {
            for (at, column) in columns.iter().enumerate() {
                encode_value(column, row, at + 1 == columns.len(), &mut data);
            }
            offsets.push(data.len());
        }
        Ok(EncodedKeys { form: Form::Packed { offsets, data } })
    }

    fn verify(&self, columns: &[ArrayRef]) -> Result<(), KeyError> {
        if columns.len() != self.names.len() {
            return Err(KeyError::ColumnCount { expected: self.names.len(), found: columns.len() });
        }
        for (field, column) in self.schema.fields().iter().zip(columns) {
            if field.data_type() != column.data_type() {
                return Err(KeyError::Column {
                    column: field.name().clone(),
                    expected: field.data_type().clone(),
                    found: column.data_type().clone(),
                });
            }
        }
        Ok(())
    }

    /// The key columns behind encoded keys, one row a key. The bytes need not be trusted.
    ///
    /// # Errors
    /// [`KeyError::Damaged`] for bytes that no key encodes to.
    pub fn decode<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Result<RecordBatch, KeyError> {
        let fields = self.schema.fields();
        let mut columns: Vec<Decoder> = fields.iter().map(|field| Decoder::new(field.data_type())).collect();
        for key in keys {
            let mut rest = key;
            for (at, column) in columns.iter_mut().enumerate() {
                let damaged = || KeyError::Damaged { column: fields[at].name().clone() };
                rest = column.read(rest, at + 1 == fields.len()).ok_or_else(damaged)?;
            }
            if !rest.is_empty() {
                return Err(KeyError::Damaged { column: self.names[self.names.len() - 1].clone() });
            }
        }
        let columns = columns.into_iter().zip(fields).map(|(column, field)| column.finish(field.data_type()));
        Ok(RecordBatch::try_new(self.schema.clone(), columns.collect())?)
    }
}

fn place(input: &Schema, name: &str) -> Result<usize, KeyError> {
    let Ok(index) = input.index_of(name) else {
        let columns: Vec<&str> = input.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(KeyError::Unknown { column: name.to_owned(), columns: columns.join(", ") });
    };
    let data_type = input.field(index).data_type();
    match refusal(data_type) {
        None => Ok(index),
        Some(why) => Err(KeyError::Type { column: name.to_owned(), data_type: data_type.clone(), why }),
    }
}

/// Why a type cannot be grouped by; `None` when it can.
fn refusal(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Float32 | DataType::Float64 => {
            Some("equal floats are a matter of rounding; use an integer, a decimal or a text")
        }
        DataType::Binary => Some("bytes have no name in a path; use a text"),
        DataType::Dictionary(keys, values) if **keys == DataType::UInt32 && **values == DataType::Utf8 => {
            None
        }
        DataType::Utf8 | DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::Date32 => None,
        DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Decimal128(_, _) => None,
        _ => Some("it is none of the contract's types"),
    }
}

/// Appends one value; `column` has one of the types that [`refusal`] lets pass.
fn encode_value(column: &ArrayRef, row: usize, is_last: bool, out: &mut Vec<u8>) {
    if column.is_null(row) {
        return out.push(NULL);
    }
    if let Some(dictionary) = column.as_dictionary_opt::<UInt32Type>() {
        return encode_value(dictionary.values(), dictionary.keys().value(row) as usize, is_last, out);
    }
    match column.data_type() {
        DataType::Utf8 if is_last => out.extend_from_slice(column.as_string::<i32>().value(row).as_bytes()),
        DataType::Utf8 => encode_inner_text(column.as_string::<i32>().value(row), out),
        DataType::Boolean => out.extend_from_slice(&[VALUE, u8::from(column.as_boolean().value(row))]),
        DataType::Int32 => Ordered::write(column.as_primitive::<Int32Type>().value(row), out),
        DataType::Date32 => Ordered::write(column.as_primitive::<Date32Type>().value(row), out),
        DataType::Int64 => Ordered::write(column.as_primitive::<Int64Type>().value(row), out),
        DataType::Decimal128(_, _) => Ordered::write(column.as_primitive::<Decimal128Type>().value(row), out),
        _ => Ordered::write(column.as_primitive::<TimestampMicrosecondType>().value(row), out),
    }
}

fn encode_inner_text(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            0 => out.extend_from_slice(&ZERO_ESCAPED),
            _ => out.push(byte),
        }
    }
    out.extend_from_slice(&TEXT_END);
}

/// Splits an inner text from what follows it.
fn decode_inner_text(key: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    let mut rest = key;
    loop {
        let zero = rest.iter().position(|byte| *byte == 0)?;
        text.extend_from_slice(&rest[..zero]);
        let (mark, after) = rest[zero..].split_first_chunk::<2>()?;
        rest = after;
        match *mark {
            ZERO_ESCAPED => text.push(0),
            TEXT_END => return Some((text, rest)),
            _ => return None,
        }
    }
}

/// Integers as bytes that sort as they do.
trait Ordered: Sized {
    fn write(self, out: &mut Vec<u8>);
    fn read(key: &[u8]) -> Option<(Self, &[u8])>;
}

macro_rules! ordered {
    ($($integer:ty),*) => {$(
        impl Ordered for $integer {
            fn write(self, out: &mut Vec<u8>) {
                out.push(VALUE);
                out.extend_from_slice(&(self ^ <$integer>::MIN).to_be_bytes());
            }

            fn read(key: &[u8]) -> Option<(Self, &[u8])> {
                let (bytes, rest) = key.strip_prefix(&[VALUE])?.split_first_chunk()?;
                Some((<$integer>::from_be_bytes(*bytes) ^ <$integer>::MIN, rest))
            }
        }
    )*};
}
ordered!(i32, i64, i128);

/// Collects one key column.
enum Decoder {
    Text(StringBuilder),
    Dictionary(StringDictionaryBuilder<UInt32Type>),
    Boolean(BooleanBuilder),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Date32(PrimitiveBuilder<Date32Type>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Decimal(PrimitiveBuilder<Decimal128Type>),
}

impl Decoder {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Dictionary(_, _) => Self::Dictionary(StringDictionaryBuilder::new()),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int32 => Self::Int32(PrimitiveBuilder::new()),
            DataType::Date32 => Self::Date32(PrimitiveBuilder::new()),
            DataType::Decimal128(_, _) => Self::Decimal(PrimitiveBuilder::new()),
            DataType::Timestamp(_, _) => Self::Timestamp(PrimitiveBuilder::new()),
            _ => Self::Int64(PrimitiveBuilder::new()),
        }
    }

    /// Takes one value off the front of `key` and gives the rest; `None` for damage.
    fn read<'a>(&mut self, key: &'a [u8], is_last: bool) -> Option<&'a [u8]> {
        if let Some(rest) = key.strip_prefix(&[NULL]) {
            self.append_null();
            return Some(rest);
        }
        match self {
            Self::Text(texts) => read_text(key, is_last, |text| texts.append_value(text)),
            Self::Dictionary(texts) => read_text(key, is_last, |text| texts.append_value(text)),
            Self::Boolean(values) => {
                let (flag, rest) = key.strip_prefix(&[VALUE])?.split_first()?;
                values.append_value((*flag < 2).then_some(*flag == 1)?);
                Some(rest)
            }
            Self::Int32(values) => read_integer(key, values),
            Self::Int64(values) => read_integer(key, values),
            Self::Date32(values) => read_integer(key, values),
            Self::Timestamp(values) => read_integer(key, values),
            Self::Decimal(values) => read_integer(key, values),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Text(texts) => texts.append_null(),
            Self::Dictionary(texts) => texts.append_null(),
            Self::Boolean(values) => values.append_null(),
            Self::Int32(values) => values.append_null(),
            Self::Int64(values) => values.append_null(),
            Self::Date32(values) => values.append_null(),
            Self::Timestamp(values) => values.append_null(),
            Self::Decimal(values) => values.append_null(),
        }
    }

    /// The column; `data_type` has what the builder does not know (zone, precision).
    fn finish(self, data_type: &DataType) -> ArrayRef {
        match self {
            Self::Text(mut texts) => Arc::new(texts.finish()),
            Self::Dictionary(mut texts) => Arc::new(texts.finish()),
            Self::Boolean(mut values) => Arc::new(values.finish()),
            Self::Int32(mut values) => Arc::new(values.finish()),
            Self::Int64(mut values) => Arc::new(values.finish()),
            Self::Date32(mut values) => Arc::new(values.finish()),
            Self::Timestamp(mut values) => Arc::new(values.finish().with_data_type(data_type.clone())),
            Self::Decimal(mut values) => Arc::new(values.finish().with_data_type(data_type.clone())),
        }
    }
}

fn read_text(key: &[u8], is_last: bool, mut append: impl FnMut(&str)) -> Option<&[u8]> {
    if is_last {
        append(std::str::from_utf8(key).ok()?);
        return Some(&[]);
    }
    let (text, rest) = decode_inner_text(key)?;
    append(std::str::from_utf8(&text).ok()?);
    Some(rest)
}

fn read_integer<'a, T>(key: &'a [u8], values: &mut PrimitiveBuilder<T>) -> Option<&'a [u8]>
where
    T: ArrowPrimitiveType,
    T::Native: Ordered,
{
    let (value, rest) = T::Native::read(key)?;
    values.append_value(value);
    Some(rest)
}
