//! Numbers of up to 18 digits without an exponent, exactly and without a loop over bytes.
//!
//! It takes no other number: the caller then asks the general parser, which takes all.

use crate::words::{before, digits_value, load, not_digits, without_byte};

/// More digits do not fit the arithmetic below.
const DIGITS_MAX: u32 = 18;

const fn powers_of_ten() -> [i64; DIGITS_MAX as usize + 1] {
    let mut powers = [1; DIGITS_MAX as usize + 1];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
}

const POWERS_OF_TEN: [i64; DIGITS_MAX as usize + 1] = powers_of_ten();

/// A number as it is written: `digits` without the point, which stands before the last
/// `scale` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    is_negative: bool,
    digits: i64,
    scale: u32,
}

/// The integer at `at` and the place after it.
#[inline(always)]
pub fn integer(data: &[u8], at: usize) -> Option<(i64, usize)> {
    let begin = at + usize::from(*data.get(at)? == b'-');
    let word = load(data, begin)?;
    let (value, count) = digits(data, begin, word)?;
    if is_odd(word, count) {
        return None;
    }
    Some((if begin > at { -value } else { value }, begin + count as usize))
}

/// The number at `at` and the place after it.
#[inline(always)]
pub fn decimal(data: &[u8], at: usize) -> Option<(Decimal, usize)> {
    let begin = at + usize::from(*data.get(at)? == b'-');
    let word = load(data, begin)?;
    let (digits, scale, len) = short_fraction(word).or_else(|| long_decimal(data, begin, word))?;
    Some((Decimal { is_negative: begin > at, digits, scale }, begin + len))
}

/// Digits, scale and length of a number with a fraction that ends within one word.
#[inline(always)]
fn short_fraction(word: u64) -> Option<(i64, u32, usize)> {
    let marks = not_digits(word);
    let point = before(marks);
    let end = before(marks & marks.wrapping_sub(1));
    let has_fraction = (1..6).contains(&point) && end > point + 1 && end < 8;
    if !has_fraction || (word >> (8 * point)) as u8 != b'.' || is_odd(word, point) {
        return None;
    }
    let digits = digits_value(without_byte(word, point), end - 1) as i64;
    Some((digits, end - point - 1, end as usize))
}

/// Digits, scale and length of any other number.
#[inline(always)]
fn long_decimal(data: &[u8], begin: usize, word: u64) -> Option<(i64, u32, usize)> {
    let (whole, count) = digits(data, begin, word)?;
    if is_odd(word, count) {
        return None;
    }
    let point = begin + count as usize;
    if data.get(point) != Some(&b'.') {
        return Some((whole, 0, count as usize));
    }
    let (part, scale) = digits(data, point + 1, load(data, point + 1)?)?;
    if scale == 0 || count + scale > DIGITS_MAX {
        return None;
    }
    Some((whole * POWERS_OF_TEN[scale as usize] + part, scale, (count + 1 + scale) as usize))
}

/// Whether a number cannot begin so: without a digit, or with a zero before another digit.
#[inline(always)]
fn is_odd(word: u64, count: u32) -> bool {
    count == 0 || (count > 1 && word as u8 == b'0')
}

/// The value and the count of the digits at `at`, of which `word` is the first eight bytes.
/// There may be none; of more than 18 nothing is said.
#[inline(always)]
fn digits(data: &[u8], at: usize, word: u64) -> Option<(i64, u32)> {
    match before(not_digits(word)) {
        0 => Some((0, 0)),
        8 => more_digits(data, at + 8, digits_value(word, 8) as i64),
        count => Some((digits_value(word, count) as i64, count)),
    }
}

/// Goes on after the eight digits that make `value`.
#[inline]
fn more_digits(data: &[u8], at: usize, value: i64) -> Option<(i64, u32)> {
    let word = load(data, at)?;
    match before(not_digits(word)) {
        0 => Some((value, 8)),
        8 => last_digits(data, at + 8, value * POWERS_OF_TEN[8] + digits_value(word, 8) as i64),
        count => Some((value * POWERS_OF_TEN[count as usize] + digits_value(word, count) as i64, 8 + count)),
    }
}

/// Goes on after the sixteen digits that make `value`.
#[inline]
fn last_digits(data: &[u8], at: usize, value: i64) -> Option<(i64, u32)> {
    let word = load(data, at)?;
    match before(not_digits(word)) {
        0 => Some((value, 16)),
        count @ 1..=2 => {
            Some((value * POWERS_OF_TEN[count as usize] + digits_value(word, count) as i64, 16 + count))
        }
        _ => None,
    }
}

impl Decimal {
    /// The nearest f64, ties to even; none where that takes more than is done here.
    #[inline(always)]
    pub fn to_f64(self) -> Option<f64> {
        let magnitude = self.magnitude()?;
        Some(if self.is_negative { -magnitude } else { magnitude })
    }

    #[inline(always)]
    fn magnitude(self) -> Option<f64> {
        let power = POWERS_OF_TEN[self.scale as usize];
        let estimate = self.digits as f64 / power as f64;
        // Both are exact as f64 then, so the division is the only rounding.
        if self.digits < 1 << 53 { Some(estimate) } else { corrected(estimate, self.digits, power) }
    }
}

/// Moves `estimate`, which is less than two steps away from `digits / power`, to the float
/// nearest to it.
///
/// With `estimate = m * 2^-s` the distance in units of `2^-s / power` is
/// `digits * 2^s - m * power`, a number of 117 bits less one of as many. It is itself less
/// than `2 * power`, so 64 bits of each, wrapping, give it exactly.
fn corrected(estimate: f64, digits: i64, power: i64) -> Option<f64> {
    const MANTISSA_BITS: u32 = 52;
    let bits = estimate.to_bits();
    let mantissa = (bits & ((1 << MANTISSA_BITS) - 1)) | 1 << MANTISSA_BITS;
    let shift = i64::from(1023 + MANTISSA_BITS) - (bits >> MANTISSA_BITS) as i64;
    // Two steps to either side have to be of one length.
    let is_inner = (1 << MANTISSA_BITS) + 2 < mantissa && mantissa + 2 < 2 << MANTISSA_BITS;
    if !is_inner || !(0..64).contains(&shift) {
        return None;
    }
    let mut rest = (digits << shift).wrapping_sub((mantissa as i64).wrapping_mul(power));
    let mut nearest = bits;
    while rest > power / 2 {
        (rest, nearest) = (rest - power, nearest + 1);
    }
    while rest < -(power / 2) {
        (rest, nearest) = (rest + power, nearest - 1);
    }
    let is_tie = rest.abs() * 2 == power;
    (!is_tie).then(|| f64::from_bits(nearest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read has to be what the standard library reads, or nothing.
    fn check(text: &str) -> bool {
        let data = format!("{text},       ");
        let found = decimal(data.as_bytes(), 0).and_then(|(decimal, end)| Some((decimal.to_f64()?, end)));
        if let Some((value, end)) = found {
            assert_eq!(end, text.len(), "{text}");
            assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
        found.is_some()
    }

    /// A seeded sequence of numbers (splitmix64).
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    #[test]
    fn numbers_of_up_to_18_digits_are_rounded_to_the_nearest_float() {
        let (mut state, mut taken) = (7, 0);
        for _ in 0..1_000_000 {
            let digits = random(&mut state) % 10u64.pow(1 + (random(&mut state) % 18) as u32);
            let scale = (random(&mut state) % 19) as usize;
            let text = format!("{digits:0width$}", width = scale + 1);
            let point = text.len() - scale;
            let fraction = if scale == 0 { String::new() } else { format!(".{}", &text[point..]) };
            taken += u32::from(check(&format!("{}{fraction}", &text[..point])));
        }
        assert!(taken > 800_000, "{taken}");
    }

    #[test]
    fn floats_written_shortest_and_the_middles_between_floats_are_rounded_right() {
        let mut state = 8;
        for _ in 0..300_000 {
            let value = (random(&mut state) >> 11) as f64 / 10f64.powi((random(&mut state) % 16) as i32);
            check(&format!("{value:?}"));
            let scale = random(&mut state) % 8;
            let middle = (1u64 << 53) + 2 * (random(&mut state) >> 14) + 1;
            let (whole, part) = (middle >> scale, middle & ((1 << scale) - 1));
            check(&format!(
                "{whole}.{:0width$}",
                (part * 10u64.pow(scale as u32)) >> scale,
                width = scale as usize
            ));
        }
    }

    #[test]
    fn a_common_number_is_taken_and_an_odd_one_is_left_to_the_general_parser() {
        for text in ["0", "-0", "0.5", "-0.0", "92000.5", "113580246.91234567", "123456789.12345678", "-1.25"]
        {
            assert!(check(text), "{text}");
        }
        for text in ["", "-", ".5", "1.", "00", "01.5", "-.5", "+1", "1234567890123456789", "e5"] {
            assert!(!check(text), "{text}");
        }
    }

    #[test]
    fn integers_are_read_up_to_18_digits() {
        let read = |text: &str| integer(format!("{text},       ").as_bytes(), 0);
        assert_eq!(read("1764720000123"), Some((1_764_720_000_123, 13)));
        assert_eq!(read("-5"), Some((-5, 2)));
        assert_eq!(read("-0"), Some((0, 2)));
        assert_eq!(read("999999999999999999"), Some((999_999_999_999_999_999, 18)));
        assert_eq!([read("9223372036854775807"), read("-"), read("07"), read("x")], [None; 4]);
    }
}
