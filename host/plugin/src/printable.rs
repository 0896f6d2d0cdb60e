//! Text from a guest, made fit for a log, an error or a table: cut to a length, and
//! without control characters, which a terminal might obey.

/// The longest start of `text` that ends between characters within `bytes_max`.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// `text` cut at `bytes_max` bytes, its control characters then escaped (`\n`,
/// `\u{1b}`), which makes it longer again.
pub(crate) fn printable(text: &str, bytes_max: usize) -> String {
    let kept = cut(text, bytes_max);
    let mut out = String::with_capacity(kept.len());
    for character in kept.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn text_is_cut_between_characters_and_control_characters_are_escaped() {
        let cases: &[(&str, usize, &str)] = &[
            ("plain", 100, "plain"),
            ("", 100, ""),
            ("abcdef", 3, "abc"),
            ("aß", 2, "a"),
            ("a\nb\tc", 100, "a\\nb\\tc"),
            ("\u{1b}[31mred", 100, "\\u{1b}[31mred"),
            ("\u{85}", 100, "\\u{85}"),
            ("größer", 100, "größer"),
        ];
        for (text, bytes_max, expected) in cases {
            assert_eq!(printable(text, *bytes_max), *expected, "{text:?} cut at {bytes_max}");
        }
    }
}
