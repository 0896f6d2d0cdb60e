//! Reading a column and building one, without touching bits and offsets by hand.
//!
//! A view borrows what the host sent and never copies; a builder gives what the contract
//! asks for, its validity left out while there is no null. Nothing is checked twice: that
//! lengths fit and text is UTF-8 is the host's promise and the host's check.

use crate::types::{Column, ColumnData, DataType, Failure, VarBytes};

/// A type that a column holds in fixed width.
///
/// `i64` reads `timestamp-us` as well as `s64`, `i32` reads `date32` as well as `s32`.
pub trait Value: Copy + Default + PartialOrd + 'static {
    /// The type that a new column of these gets.
    const TYPE: DataType;
    /// The values, if the column holds such.
    fn slice(data: &ColumnData) -> Option<&[Self]>;
    /// The values to change, if the column holds such.
    fn slice_mut(data: &mut ColumnData) -> Option<&mut [Self]>;
    /// A column of these.
    fn into_data(values: Vec<Self>) -> ColumnData;
    /// The order in which NaN is the greatest and -0.0 is less than 0.0.
    fn exceeds(self, other: Self) -> bool;
}

macro_rules! value {
    ($type:ty, $variant:ident $(| $also:ident)?, $exceeds:expr) => {
        impl Value for $type {
            const TYPE: DataType = DataType::$variant;
            fn slice(data: &ColumnData) -> Option<&[Self]> {
                match data {
                    ColumnData::$variant(values) $(| ColumnData::$also(values))? => Some(values),
                    _ => None,
                }
            }
            fn slice_mut(data: &mut ColumnData) -> Option<&mut [Self]> {
                match data {
                    ColumnData::$variant(values) $(| ColumnData::$also(values))? => Some(values),
                    _ => None,
                }
            }
            fn into_data(values: Vec<Self>) -> ColumnData {
                ColumnData::$variant(values)
            }
            #[inline]
            fn exceeds(self, other: Self) -> bool {
                let exceeds: fn(Self, Self) -> bool = $exceeds;
                exceeds(self, other)
            }
        }
    };
}

value!(i32, S32 | Date32, |a, b| a > b);
value!(i64, S64 | TimestampUs, |a, b| a > b);
value!(f32, F32, |a, b| canonical_f32(a).total_cmp(&canonical_f32(b)).is_gt());
value!(f64, F64, |a, b| canonical_f64(a).total_cmp(&canonical_f64(b)).is_gt());

/// Every NaN as the positive one, which the total order puts last.
fn canonical_f32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value }
}

fn canonical_f64(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// Whether row `row` has a value.
#[inline]
pub(crate) fn bit(validity: &[u8], row: usize) -> bool {
    validity[row / 8] >> (row % 8) & 1 == 1
}

/// What stops the job when a column is not of the type that was agreed on.
pub(crate) fn wrong_column(expected: &str, found: &ColumnData) -> Failure {
    let found = case_name(found);
    Failure::StopJob(format!("a column of {expected} was agreed on and one of {found} came"))
}

fn case_name(data: &ColumnData) -> &'static str {
    match data {
        ColumnData::Boolean(_) => "boolean",
        ColumnData::S32(_) => "s32",
        ColumnData::S64(_) => "s64",
        ColumnData::F32(_) => "f32",
        ColumnData::F64(_) => "f64",
        ColumnData::Date32(_) => "date32",
        ColumnData::TimestampUs(_) => "timestamp-us",
        ColumnData::Decimal128(_) => "decimal128",
        ColumnData::Utf8(_) => "utf8",
        ColumnData::Binary(_) => "binary",
        ColumnData::DictionaryUtf8(_) => "dictionary-utf8",
    }
}

/// A column of fixed-width values, to read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    values: &'a [T],
    validity: Option<&'a [u8]>,
}

impl<'a, T: Value> View<'a, T> {
    /// # Errors
    /// Stops the job when the column is of another type than `T`.
    pub fn of(column: &'a Column) -> Result<Self, Failure> {
        let values = T::slice(&column.data)
            .ok_or_else(|| wrong_column(&crate::schema::type_name(T::TYPE), &column.data))?;
        Ok(View { values, validity: column.validity.as_deref() })
    }

    /// The value of a row; none where it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<T> {
        self.is_valid(row).then(|| self.values[row])
    }

    /// Whether a row has a value.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.is_none_or(|validity| bit(validity, row))
    }

    /// All values; what a null row holds means nothing.
    pub fn values(&self) -> &'a [T] {
        self.values
    }

    /// The packed validity, if there is a null.
    pub fn validity(&self) -> Option<&'a [u8]> {
        self.validity
    }
}

/// A column of text, to read.
#[derive(Clone, Copy, Debug)]
pub struct TextView<'a> {
    text: &'a VarBytes,
    keys: Option<&'a [u32]>,
    validity: Option<&'a [u8]>,
}

impl<'a> TextView<'a> {
    /// # Errors
    /// Stops the job when the column is neither `utf8` nor `dictionary-utf8`.
    pub fn of(column: &'a Column) -> Result<Self, Failure> {
        let validity = column.validity.as_deref();
        match &column.data {
            ColumnData::Utf8(text) => Ok(TextView { text, keys: None, validity }),
            ColumnData::DictionaryUtf8(dictionary) => {
                Ok(TextView { text: &dictionary.values, keys: Some(&dictionary.keys), validity })
            }
            other => Err(wrong_column("utf8", other)),
        }
    }

    /// The text of a row; none where it is null.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        if self.validity.is_some_and(|validity| !bit(validity, row)) {
            return None;
        }
        let place = self.keys.map_or(row, |keys| keys[row] as usize);
        std::str::from_utf8(bytes_at(self.text, place)).ok()
    }
}

/// The bytes of one entry.
#[inline]
pub fn bytes_at(bytes: &VarBytes, row: usize) -> &[u8] {
    &bytes.data[bytes.offsets[row] as usize..bytes.offsets[row + 1] as usize]
}

/// Builds the validity of a column; no bit is kept before the first null.
#[derive(Debug, Default)]
pub struct ValidityBuilder {
    bits: Vec<u8>,
    rows: usize,
    has_null: bool,
}

impl ValidityBuilder {
    /// Appends a row.
    #[inline]
    pub fn push(&mut self, is_valid: bool) {
        if self.has_null || !is_valid {
            self.push_bit(is_valid);
        }
        self.rows += 1;
    }

    #[cold]
    fn push_bit(&mut self, is_valid: bool) {
        if !self.has_null {
            self.bits = ones(self.rows);
            self.has_null = true;
        }
        if self.rows.is_multiple_of(8) {
            self.bits.push(0);
        }
        self.bits[self.rows / 8] |= u8::from(is_valid) << (self.rows % 8);
    }

    /// The packed bits; none when every row has a value.
    pub fn finish(self) -> Option<Vec<u8>> {
        self.has_null.then_some(self.bits)
    }
}

/// The bits of that many rows with a value; those past the last row are 0.
fn ones(rows: usize) -> Vec<u8> {
    let mut bits = vec![u8::MAX; rows.div_ceil(8)];
    if !rows.is_multiple_of(8) {
        bits[rows / 8] = (1 << (rows % 8)) - 1;
    }
    bits
}

/// Builds a column of fixed-width values.
#[derive(Debug, Default)]
pub struct Builder<T> {
    values: Vec<T>,
    validity: ValidityBuilder,
}

impl<T: Value> Builder<T> {
    /// With room for that many rows.
    pub fn with_capacity(rows: usize) -> Self {
        Builder { values: Vec::with_capacity(rows), validity: ValidityBuilder::default() }
    }

    /// Appends a row; none is null.
    #[inline]
    pub fn push(&mut self, value: Option<T>) {
        self.validity.push(value.is_some());
        self.values.push(value.unwrap_or_default());
    }

    /// The column, of `T`'s own type.
    pub fn finish(self) -> Column {
        Column { validity: self.validity.finish(), data: T::into_data(self.values) }
    }
}

impl Builder<i64> {
    /// The values as microseconds since 1970 UTC.
    pub fn finish_timestamp_us(self) -> Column {
        Column { validity: self.validity.finish(), data: ColumnData::TimestampUs(self.values) }
    }
}

impl Builder<i32> {
    /// The values as days since 1970.
    pub fn finish_date32(self) -> Column {
        Column { validity: self.validity.finish(), data: ColumnData::Date32(self.values) }
    }
}

/// Builds a column of booleans.
#[derive(Debug, Default)]
pub struct BooleanBuilder {
    bits: Vec<u8>,
    validity: ValidityBuilder,
}

impl BooleanBuilder {
    /// Appends a row; none is null.
    #[inline]
    pub fn push(&mut self, value: Option<bool>) {
        let row = self.validity.rows;
        if row.is_multiple_of(8) {
            self.bits.push(0);
        }
        self.bits[row / 8] |= u8::from(value == Some(true)) << (row % 8);
        self.validity.push(value.is_some());
    }

    /// The column.
    pub fn finish(self) -> Column {
        Column { validity: self.validity.finish(), data: ColumnData::Boolean(self.bits) }
    }
}

/// Builds a column of text.
#[derive(Debug)]
pub struct TextBuilder {
    text: VarBytes,
    validity: ValidityBuilder,
}

impl Default for TextBuilder {
    fn default() -> Self {
        TextBuilder::with_capacity(0, 0)
    }
}

impl TextBuilder {
    /// With room for that many rows of that many bytes together.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        let text = VarBytes { offsets, data: Vec::with_capacity(bytes) };
        TextBuilder { text, validity: ValidityBuilder::default() }
    }

    /// Appends a row; none is null.
    #[inline]
    pub fn push(&mut self, text: Option<&str>) {
        self.push_with(text.is_some(), |data| data.extend_from_slice(text.unwrap_or_default().as_bytes()));
    }

    /// Appends a row whose bytes `write` appends, and nothing else; they have to be UTF-8.
    #[inline]
    pub fn push_with(&mut self, is_valid: bool, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text.data);
        self.text.offsets.push(self.text.data.len() as u32);
        self.validity.push(is_valid);
    }

    /// The column.
    pub fn finish(self) -> Column {
        Column { validity: self.validity.finish(), data: ColumnData::Utf8(self.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_is_left_out_until_there_is_a_null() {
        let mut builder = Builder::<i64>::default();
        (0..9).for_each(|value| builder.push(Some(value)));
        assert_eq!(builder.finish().validity, None);
    }

    #[test]
    fn a_view_reads_back_what_a_builder_was_given() {
        let rows: Vec<Option<f64>> = (0..20).map(|i| (i % 3 != 1).then_some(f64::from(i))).collect();
        let mut builder = Builder::default();
        rows.iter().for_each(|&row| builder.push(row));
        let column = builder.finish();
        assert_eq!(column.validity.as_ref().map(Vec::len), Some(3));
        let view = View::<f64>::of(&column).unwrap();
        assert_eq!((0..20).map(|row| view.get(row)).collect::<Vec<_>>(), rows);
    }

    #[test]
    fn text_and_booleans_keep_their_nulls_in_place() {
        let mut text = TextBuilder::default();
        [Some("a"), None, Some(""), Some("é")].iter().for_each(|&row| text.push(row));
        let column = text.finish();
        let view = TextView::of(&column).unwrap();
        assert_eq!([0, 1, 2, 3].map(|row| view.get(row)), [Some("a"), None, Some(""), Some("é")]);
        let mut flags = BooleanBuilder::default();
        [Some(true), None, Some(false)].iter().for_each(|&row| flags.push(row));
        let expected = Column { validity: Some(vec![0b101]), data: ColumnData::Boolean(vec![0b001]) };
        assert_eq!(flags.finish(), expected);
    }

    #[test]
    fn nan_is_the_greatest_and_minus_zero_less_than_zero() {
        assert!(f64::NAN.exceeds(f64::INFINITY) && (-f64::NAN).exceeds(f64::INFINITY));
        assert!(!f64::NAN.exceeds(-f64::NAN) && !f64::INFINITY.exceeds(f64::NAN));
        assert!(0.0.exceeds(-0.0) && !(-0.0).exceeds(0.0));
    }

    #[test]
    fn a_view_of_another_type_stops_the_job() {
        let column = Column { validity: None, data: ColumnData::S32(vec![1]) };
        assert!(matches!(View::<f64>::of(&column), Err(Failure::StopJob(_))));
    }
}
