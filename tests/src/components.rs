//! Components that differ as a test wants it, made of built ones by changing their bytes: nothing is compiled.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::places;

/// A text in a built guest that another one may be written over.
struct Text {
    guest: &'static str,
    /// What stands before it.
    mark: &'static [u8],
    /// The text as it is built: without the padding.
    built: &'static [u8],
    bytes_max: usize,
}

/// See `tests/guests/stumbles/src/mischief.rs`.
const MISCHIEF: Text =
    Text { guest: "naughty", mark: b"naughty guest up to: ", built: b"nothing update", bytes_max: 64 - 21 };
/// See `tests/guests/ids/src/lib.rs`.
const KIND: Text = Text { guest: "ids", mark: b"ids guest, kind: ", built: b"plain", bytes_max: 32 - 17 };

/// The same component with another digest: a custom section is appended, which nothing reads.
pub fn variant(component: &[u8], content: &str) -> Vec<u8> {
    const NAME: &[u8] = b"variant";
    let mut payload = leb128(NAME.len());
    payload.extend_from_slice(NAME);
    payload.extend_from_slice(content.as_bytes());
    const CUSTOM_SECTION: u8 = 0;
    [component, &[CUSTOM_SECTION], &leb128(payload.len()), &payload].concat()
}

/// The guest `naughty` up to a mischief, `ACTION CALL [CALLS BEFORE]`: `trap update 3` traps in the fourth
/// `update` of each instance. Actions: `nothing`, `trap`, `loop`, `hoard`, `refuse`, `retry`, `miscount`, `lie`, `stumble`;
/// calls: `describe`, `open`, `update`, `merge`, `finish`, `migrate` (then the state's version is 2).
///
/// # Errors
/// The guest is not built, or the text is too long.
pub fn naughty(mischief: &str) -> Result<Vec<u8>> {
    MISCHIEF.written(mischief)
}

/// The guest `ids` of a kind: `plain`, `renamed` (the state's version is 2, and version 1 migrates) or `failing`.
///
/// # Errors
/// The guest is not built, or the text is too long.
pub fn ids(kind: &str) -> Result<Vec<u8>> {
    KIND.written(kind)
}

/// The component with every `from` in its bytes replaced by `to`, which is as long: a name that it imports, say.
///
/// # Panics
/// The lengths differ, or there is no such place.
pub fn patched(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut patched = component.to_vec();
    let places: Vec<usize> = (0..component.len()).filter(|&at| component[at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "nothing to be replaced");
    places.iter().for_each(|&at| patched[at..at + to.len()].copy_from_slice(to));
    patched
}

impl Text {
    fn written(&self, text: &str) -> Result<Vec<u8>> {
        let file = places::test_plugin(self.guest);
        let mut component = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let marks = component.windows(self.mark.len()).enumerate().filter(|(_, bytes)| *bytes == self.mark);
        // The mark itself, to be skipped when the text is read, may be a constant of its own.
        let place = marks
            .map(|(place, _)| place + self.mark.len())
            .find(|&place| component[place..].starts_with(self.built));
        let place = place.context("the guest has no text to be replaced")?;
        ensure!(text.len() <= self.bytes_max, "{text:?} is too long");
        let text = format!("{text:width$}", width = self.bytes_max);
        component[place..place + self.bytes_max].copy_from_slice(text.as_bytes());
        Ok(component)
    }
}

/// A number of the binary format.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_patched_is_replaced_at_every_place() {
        assert_eq!(patched(b"a@1 b@1", "@1", "@2"), b"a@2 b@2");
    }

    #[test]
    fn a_variant_is_the_component_and_a_custom_section() {
        assert_eq!(variant(b"\0asm", "a"), b"\0asm\x00\x09\x07varianta");
        let long = variant(b"", &"x".repeat(300));
        assert_eq!((&long[..4], long.len()), (&[0, 0xb4, 0x02, 7][..], 311));
    }
}
