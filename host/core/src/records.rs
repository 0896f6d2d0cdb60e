//! A packed batch of Kafka records: what the source fills, the parser reads and
//! the dead-letter output quotes from. Plain buffers that are reused from batch to
//! batch, so that a record costs no allocation. Knows nothing of librdkafka and
//! nothing of the plugin boundary.

/// How a record's timestamp came to be. One batch has one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampKind {
    #[default]
    NotAvailable,
    /// Set by the producer; proves nothing.
    CreateTime,
    /// Set by the broker when it appended the record.
    LogAppendTime,
}

/// Bytes that may be absent, packed: entry i is `data[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NullableBytes {
    validity: Vec<u8>,
    null_count: usize,
    offsets: Vec<u32>,
    data: Vec<u8>,
}

impl Default for NullableBytes {
    fn default() -> Self {
        Self { validity: Vec::new(), null_count: 0, offsets: vec![0], data: Vec::new() }
    }
}

impl NullableBytes {
    /// Adds one entry; `None` is absent, which is not the same as empty.
    ///
    /// The caller keeps a batch's bytes below 4 GiB (the source's byte cap does).
    pub fn push(&mut self, value: Option<&[u8]>) {
        let row = self.len();
        if row.is_multiple_of(8) {
            self.validity.push(0);
        }
        match value {
            Some(bytes) => {
                self.validity[row / 8] |= 1 << (row % 8);
                self.data.extend_from_slice(bytes);
            }
            None => self.null_count += 1,
        }
        self.offsets.push(self.data.len() as u32);
    }

    /// Entry `row`, `None` where it is absent.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let valid = self.validity[row / 8] & (1 << (row % 8)) != 0;
        valid.then(|| &self.data[self.offsets[row] as usize..self.offsets[row + 1] as usize])
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.validity.clear();
        self.null_count = 0;
        self.offsets.truncate(1);
        self.data.clear();
    }

    /// One bit an entry, least significant first; `None` when nothing is absent.
    pub fn validity(&self) -> Option<&[u8]> {
        (self.null_count > 0).then_some(&self.validity)
    }

    /// One more entry than there are values; begins with 0.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Headers of a batch: record i has the headers `starts[i]..starts[i + 1]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    starts: Vec<u32>,
    names: NullableBytes,
    values: NullableBytes,
}

impl Default for Headers {
    fn default() -> Self {
        Self { starts: vec![0], names: NullableBytes::default(), values: NullableBytes::default() }
    }
}

impl Headers {
    /// Adds a header to the record that is being packed.
    pub fn push(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.names.push(Some(name));
        self.values.push(value);
    }

    /// Ends the record that is being packed.
    pub fn end_record(&mut self) {
        self.starts.push(self.names.len() as u32);
    }

    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    pub fn names(&self) -> &NullableBytes {
        &self.names
    }

    pub fn values(&self) -> &NullableBytes {
        &self.values
    }

    /// Adds a record with the headers that record `row` of `from` has.
    fn push_record(&mut self, from: &Self, row: usize) {
        for header in from.starts[row] as usize..from.starts[row + 1] as usize {
            self.names.push(from.names.get(header));
            self.values.push(from.values.get(header));
        }
        self.end_record();
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.starts.truncate(1);
        self.names.clear();
        self.values.clear();
    }
}

/// One batch of records of one topic; within a partition in the order of offsets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records {
    pub partitions: Vec<i32>,
    pub offsets: Vec<i64>,
    /// Milliseconds since 1970 UTC; -1 where there is none.
    pub timestamps_ms: Vec<i64>,
    pub timestamp_kind: TimestampKind,
    pub keys: NullableBytes,
    pub values: NullableBytes,
    /// Packed only when the parser reads them.
    pub headers: Option<Headers>,
}

impl Records {
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// A batch of the records `rows`, in that order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let mut selected = Self { timestamp_kind: self.timestamp_kind, ..Self::default() };
        selected.headers = self.headers.as_ref().map(|_| Headers::default());
        for &row in rows {
            selected.partitions.push(self.partitions[row]);
            selected.offsets.push(self.offsets[row]);
            selected.timestamps_ms.push(self.timestamps_ms[row]);
            selected.keys.push(self.keys.get(row));
            selected.values.push(self.values.get(row));
            if let (Some(to), Some(from)) = (&mut selected.headers, &self.headers) {
                to.push_record(from, row);
            }
        }
        selected
    }

    /// Bytes of keys and values.
    pub fn payload_bytes(&self) -> usize {
        self.keys.data().len() + self.values.data().len()
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.partitions.clear();
        self.offsets.clear();
        self.timestamps_ms.clear();
        self.keys.clear();
        self.values.clear();
        if let Some(headers) = &mut self.headers {
            headers.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records 0, 1, …: the number as offset and value, a key and a header where it is even.
    fn records(numbers: &[i64]) -> Records {
        let mut records = Records { headers: Some(Headers::default()), ..Records::default() };
        for &number in numbers {
            let text = number.to_string();
            let even = (number % 2 == 0).then_some(text.as_bytes());
            records.partitions.push(1);
            records.offsets.push(number);
            records.timestamps_ms.push(-1);
            records.keys.push(even);
            records.values.push(Some(text.as_bytes()));
            let headers = records.headers.as_mut().unwrap();
            even.into_iter().for_each(|text| headers.push(b"h", Some(text)));
            headers.end_record();
        }
        records
    }

    #[test]
    fn selected_records_are_the_batch_that_they_would_have_made() {
        let all = records(&[0, 1, 2, 3, 4]);
        for rows in [&[][..], &[0], &[1, 2], &[4, 0, 3], &[0, 1, 2, 3, 4]] {
            let numbers: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
            assert_eq!(all.select(rows), records(&numbers));
        }
    }
}
