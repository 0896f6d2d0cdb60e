//! Numbers that an exchange sends as text and that become JSON numbers digit by digit. It
//! only looks at them: nothing is rounded, since nothing is converted.

/// Longer ones are no prices.
const DIGITS_MAX: usize = 64;

/// Whether `text` is a number as JSON writes them and one that readers can hold: `1e5` and
/// `-0` are, `+1`, `.5`, `01`, `NaN` and `1e999` are not.
pub fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = split_digits(unsigned);
    let whole_is_right = whole == "0" || !whole.is_empty() && !whole.starts_with('0');
    whole_is_right
        && text.len() <= DIGITS_MAX
        && after_fraction(rest).is_some_and(is_exponent)
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

/// What follows the fraction, if there is one; `None` when a point has no digits.
fn after_fraction(rest: &str) -> Option<&str> {
    match rest.strip_prefix('.').map(split_digits) {
        Some(("", _)) => None,
        Some((_, rest)) => Some(rest),
        None => Some(rest),
    }
}

fn is_exponent(rest: &str) -> bool {
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else { return rest.is_empty() };
    let (digits, rest) = split_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    !digits.is_empty() && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_calls_a_number_is_one() {
        for text in
            ["0", "-0", "0.0", "67123.45000000", "-12.5", "1e5", "1E+5", "1.5e-8", "0e0", "9007199254740993"]
        {
            assert!(is_json_number(text), "{text}");
            assert!(serde_json::from_str::<serde_json::Number>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let long = "1".repeat(DIGITS_MAX + 1);
        let words = "- +1 .5 1. 01 -01 1e 1e+ 1.e5 NaN inf -Infinity 1_000 1,5 0x10 ١ 1e999 --1 1.2.3";
        for text in words.split(' ').chain(["", " 1", "1 ", &long]) {
            assert!(!is_json_number(text), "{text}");
        }
    }
}
