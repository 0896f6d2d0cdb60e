//! The bytes of one encoded key, kept inside the table's entry when they are short:
//! to compare a short key costs no further cache miss.

use std::cmp::Ordering;
use std::fmt;

/// Bytes that are kept in place.
const INLINE_BYTES: usize = 22;

/// An encoded key. Compares as its bytes do.
#[derive(Clone)]
pub struct KeyBytes(Form);

#[derive(Clone)]
enum Form {
    Inline { len: u8, bytes: [u8; INLINE_BYTES] },
    Apart(Box<[u8]>),
}

impl KeyBytes {
    /// The encoded key.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Form::Apart(bytes) => bytes,
        }
    }

    /// Bytes outside the entry.
    pub(super) fn bytes_apart(&self) -> usize {
        match &self.0 {
            Form::Inline { .. } => 0,
            Form::Apart(bytes) => bytes.len(),
        }
    }
}

impl From<&[u8]> for KeyBytes {
    fn from(key: &[u8]) -> Self {
        if key.len() > INLINE_BYTES {
            return Self(Form::Apart(key.into()));
        }
        let mut bytes = [0; INLINE_BYTES];
        bytes[..key.len()].copy_from_slice(key);
        Self(Form::Inline { len: key.len() as u8, bytes })
    }
}

impl PartialEq for KeyBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for KeyBytes {}

impl PartialOrd for KeyBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_and_ordered_by_their_bytes() {
        assert_eq!(size_of::<KeyBytes>(), 24);
        let long: Vec<u8> = (0..100).collect();
        for len in 0..long.len() {
            let key = KeyBytes::from(&long[..len]);
            assert_eq!(key.as_bytes(), &long[..len]);
            assert_eq!(key, KeyBytes::from(&long[..len]));
            assert!(key < KeyBytes::from(&long[..len + 1]));
            assert!(KeyBytes::from(&[0xFF_u8][..]) > key);
        }
    }
}
