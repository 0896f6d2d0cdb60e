//! The shape of a record: the bytes between its values, and which field each value is.
//!
//! Producers write one record like another: the same keys in the same order, the same white
//! space. A shape is learnt from a record that the general parser has read, so its bytes are
//! known to be JSON, and a later record with the same bytes between its values needs no look
//! at its keys. Nothing of the values is in a shape.

use crate::general::Place;
use crate::words::load;

/// Longer texts between two values are not learnt.
const LITERAL_BYTES_MAX: usize = 512;
/// Records of more values are not learnt.
const STEPS_MAX: usize = 256;

/// Bytes that have to be there, as words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    words: Vec<Word>,
    len: usize,
}

/// Eight bytes at a place, of which those under the mask count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    offset: usize,
    mask: u64,
    bytes: u64,
}

impl Literal {
    fn new(text: &[u8]) -> Literal {
        let word = |(number, chunk): (usize, &[u8])| {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            let mask = u64::MAX >> (64 - 8 * chunk.len());
            Word { offset: 8 * number, mask, bytes: u64::from_le_bytes(bytes) }
        };
        Literal { words: text.chunks(8).enumerate().map(word).collect(), len: text.len() }
    }

    /// The place after it, if it is at `at`.
    #[inline(always)]
    pub fn skip(&self, data: &[u8], at: usize) -> Option<usize> {
        for word in &self.words {
            if load(data, at + word.offset)? & word.mask != word.bytes {
                return None;
            }
        }
        Some(at + self.len)
    }
}

/// One value, and the bytes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The bytes before the value: a brace or a comma, the key, the colon.
    pub before: Literal,
    /// The number of the value's field; none for a key that is not asked for.
    pub field: Option<usize>,
}

/// What records of one producer have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// In the order of the record.
    pub steps: Vec<Step>,
    /// The bytes after the last value.
    pub after: Literal,
    /// The fields that the record lacks.
    pub absent: Vec<usize>,
}

impl Shape {
    /// Of a record that was read, from the places of its values; none where a key comes
    /// twice or there is too much of anything.
    pub fn learn(record: &[u8], places: &[Place], fields: usize) -> Option<Shape> {
        if places.len() > STEPS_MAX {
            return None;
        }
        let mut is_there = vec![false; fields];
        let mut steps = Vec::with_capacity(places.len());
        let mut at = 0;
        for place in places {
            if place.field.is_some_and(|field| std::mem::replace(&mut is_there[field], true)) {
                return None;
            }
            let before = record.get(at..place.begin).filter(|before| before.len() <= LITERAL_BYTES_MAX)?;
            steps.push(Step { before: Literal::new(before), field: place.field });
            at = place.end;
        }
        let after = Literal::new(record.get(at..).filter(|after| after.len() <= LITERAL_BYTES_MAX)?);
        let absent = (0..fields).filter(|&field| !is_there[field]).collect();
        Some(Shape { steps, after, absent })
    }
}
