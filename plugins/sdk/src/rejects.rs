//! Packs rejects: rows, kinds and messages.
//!
//! Rows have to come in rising order, as the contract wants them; it does not sort. A
//! message is cut at a length that keeps a million rejects bearable.

use crate::types::{Rejects, VarBytes};

/// Longer messages are cut here, between two characters.
pub const MESSAGE_BYTES_MAX: usize = 512;

/// Collects rejected rows.
#[derive(Debug)]
pub struct RejectsBuilder {
    rejects: Rejects,
}

impl Default for RejectsBuilder {
    fn default() -> Self {
        let none = || VarBytes { offsets: vec![0], data: vec![] };
        RejectsBuilder { rejects: Rejects { rows: vec![], kinds: none(), messages: none() } }
    }
}

impl RejectsBuilder {
    /// Rejects a row; `kind` is what people count by, of `[a-z0-9-]`.
    pub fn push(&mut self, row: u32, kind: &str, message: &str) {
        self.rejects.rows.push(row);
        append(&mut self.rejects.kinds, kind);
        append(&mut self.rejects.messages, cut(message, MESSAGE_BYTES_MAX));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rejects.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rejects.rows.is_empty()
    }

    /// As the contract has them.
    pub fn finish(self) -> Rejects {
        self.rejects
    }
}

fn append(to: &mut VarBytes, text: &str) {
    to.data.extend_from_slice(text.as_bytes());
    to.offsets.push(to.data.len() as u32);
}

/// The longest beginning of `text` within `bytes_max` that ends between two characters.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_packed_and_long_messages_cut_between_characters() {
        let mut builder = RejectsBuilder::default();
        builder.push(3, "a", "short");
        builder.push(9, "bc", &"é".repeat(600));
        let rejects = builder.finish();
        assert_eq!(rejects.rows, [3, 9]);
        assert_eq!((rejects.kinds.offsets, rejects.kinds.data), (vec![0, 1, 3], b"abc".to_vec()));
        assert_eq!(rejects.messages.offsets, [0, 5, 5 + 512]);
        assert_eq!(cut("aé", 2), "a");
    }
}
