//! Finds the known word that somebody probably meant.

/// The known word nearest to `word`, if one is near enough to be worth naming.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 2)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_error_finds_its_word_and_a_strange_word_finds_none() {
        let known = ["window", "watermark", "trigger"];
        assert_eq!(nearest("windwo", known), Some("window"));
        assert_eq!(nearest("watermarks", known), Some("watermark"));
        assert_eq!(nearest("zzzzzz", known), None);
    }
}
