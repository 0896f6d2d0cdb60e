//! The shape of a record: the bytes between its values, and which field each value is.
//!
//! Producers write one record like another: the same keys in the same order, the same white
//! space. A shape is learnt from a record that the general parser has read, so its bytes are
//! known to be JSON, and a later record with the same bytes between its values needs no look
//! at its keys. Nothing of the values is in a shape.

use crate::fields::{Fields, Kind};
use crate::general::Place;
use crate::words::load_twice_16;

/// Longer texts between two values are not learnt.
const LITERAL_BYTES_MAX: usize = 512;
/// Records of more values are not learnt.
const STEPS_MAX: usize = 256;

/// Bytes that have to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The first 32 of them, or fewer, those that count being under the masks.
    bytes: [u128; 2],
    masks: [u128; 2],
    rest: Box<[u8]>,
    len: usize,
}

impl Literal {
    fn new(text: &[u8]) -> Literal {
        let (head, rest) = text.split_at(text.len().min(32));
        let word = |half: usize, of: fn(u8) -> u8| {
            let place = |i: usize| head.get(16 * half + i).map_or(0, |&byte| of(byte));
            u128::from_le_bytes(std::array::from_fn(place))
        };
        Literal {
            bytes: [word(0, |byte| byte), word(1, |byte| byte)],
            masks: [word(0, |_| u8::MAX), word(1, |_| u8::MAX)],
            rest: rest.into(),
            len: text.len(),
        }
    }

    /// The place after it, if it is at `at`.
    #[inline(always)]
    pub fn skip(&self, data: &[u8], at: usize) -> Option<usize> {
        let [first, second] = load_twice_16(data, at)?;
        let differs = ((first ^ self.bytes[0]) & self.masks[0]) | ((second ^ self.bytes[1]) & self.masks[1]);
        let is_there = differs == 0 && (self.rest.is_empty() || data[at + 32..].starts_with(&self.rest));
        is_there.then_some(at + self.len)
    }
}

/// One value, and the bytes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The bytes before the value: a brace or a comma, the key, the colon.
    pub before: Literal,
    /// What the value has to be; none for a key that is not asked for.
    pub kind: Option<Kind>,
    /// The number of its column, if it is wanted.
    pub column: Option<usize>,
    /// Whether it must not be null.
    pub is_required: bool,
}

impl Step {
    fn new(before: &[u8], field: Option<usize>, fields: &Fields, columns: &[Option<usize>]) -> Step {
        Step {
            before: Literal::new(before),
            kind: field.map(|field| fields.list[field].kind),
            column: field.and_then(|field| columns[field]),
            is_required: field.is_some() && field == fields.event_time,
        }
    }
}

/// What records of one producer have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// In the order of the record.
    pub steps: Vec<Step>,
    /// The bytes after the last value.
    pub after: Literal,
    /// The columns of the fields that the record lacks.
    pub absent: Vec<usize>,
}

impl Shape {
    /// Of a record that was read, from the places of its values; none where a key comes
    /// twice or there is too much of anything. `columns` has the number of each field's
    /// column, if it is wanted.
    pub fn learn(
        record: &[u8],
        places: &[Place],
        fields: &Fields,
        columns: &[Option<usize>],
    ) -> Option<Shape> {
        if places.len() > STEPS_MAX {
            return None;
        }
        let mut is_there = vec![false; fields.list.len()];
        let mut steps = Vec::with_capacity(places.len());
        let mut at = 0;
        for place in places {
            if place.field.is_some_and(|field| std::mem::replace(&mut is_there[field], true)) {
                return None;
            }
            steps.push(Step::new(literal(record, at, place.begin)?, place.field, fields, columns));
            at = place.end;
        }
        let after = Literal::new(literal(record, at, record.len())?);
        let absent = columns.iter().zip(is_there).filter(|(_, is_there)| !is_there);
        Some(Shape { steps, after, absent: absent.filter_map(|(column, _)| *column).collect() })
    }
}

fn literal(record: &[u8], begin: usize, end: usize) -> Option<&[u8]> {
    record.get(begin..end).filter(|text| text.len() <= LITERAL_BYTES_MAX)
}
