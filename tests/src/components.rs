//! Components that differ as a test wants it, made of built ones by changing their bytes: nothing is compiled.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::places;

/// The mark and the length of the text in the guest `naughty` (see `tests/guests/naughty/src/mischief.rs`).
const MARK: &[u8] = b"naughty guest up to: ";
const TEXT_BYTES: usize = 64 - MARK.len();

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
/// `update` of each instance. Actions: `nothing`, `trap`, `loop`, `hoard`, `refuse`, `retry`, `miscount`, `lie`;
/// calls: `describe`, `open`, `update`, `merge`, `finish`, `migrate` (then the state's version is 2).
///
/// # Errors
/// The guest is not built, or the text is too long.
pub fn naughty(mischief: &str) -> Result<Vec<u8>> {
    let file = places::test_plugin("naughty");
    let mut component = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let marks = component.windows(MARK.len()).enumerate().filter(|(_, bytes)| *bytes == MARK);
    let places: Vec<usize> = marks.map(|(place, _)| place + MARK.len()).collect();
    // The mark itself, to be skipped when the text is read, may be a constant of its own.
    let place = places.into_iter().find(|&place| component[place..].starts_with(b"nothing update"));
    let place = place.context("the guest has no text to be replaced")?;
    ensure!(mischief.len() <= TEXT_BYTES, "{mischief:?} is too long");
    let text = format!("{mischief:TEXT_BYTES$}");
    component[place..place + TEXT_BYTES].copy_from_slice(text.as_bytes());
    Ok(component)
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
    fn a_variant_is_the_component_and_a_custom_section() {
        assert_eq!(variant(b"\0asm", "a"), b"\0asm\x00\x09\x07varianta");
        let long = variant(b"", &"x".repeat(300));
        assert_eq!((&long[..4], long.len()), (&[0, 0xb4, 0x02, 7][..], 311));
    }
}
