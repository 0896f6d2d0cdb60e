//! Numbers of up to 18 digits without an exponent, exactly and without a loop over bytes.
//!
//! It takes no other number: the caller then asks the general parser, which takes all.

use crate::words::{digits_value, leading_digits, load};

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
    let (value, end) = whole_digits(data, begin)?;
    Some((if begin > at { -value } else { value }, end))
}

/// The number at `at` and the place after it.
#[inline(always)]
pub fn decimal(data: &[u8], at: usize) -> Option<(Decimal, usize)> {
    let begin = at + usize::from(*data.get(at)? == b'-');
    let (mut digits, mut end) = whole_digits(data, begin)?;
    let mut scale = 0;
    if data.get(end) == Some(&b'.') {
        let point = end;
        (digits, end) = more_digits(data, digits, (point - begin) as u32, point + 1)?;
        scale = (end - point - 1) as u32;
        if scale == 0 {
            return None;
        }
    }
    Some((Decimal { is_negative: begin > at, digits, scale }, end))
}

/// The digits before a point: at least one, and no zero before another.
#[inline(always)]
fn whole_digits(data: &[u8], begin: usize) -> Option<(i64, usize)> {
    let (value, end) = more_digits(data, 0, 0, begin)?;
    let is_odd = end == begin || (data[begin] == b'0' && end > begin + 1);
    (!is_odd).then_some((value, end))
}

/// Reads digits on to the `count` that make `value`; there may be none.
#[inline(always)]
fn more_digits(data: &[u8], mut value: i64, mut count: u32, mut at: usize) -> Option<(i64, usize)> {
    loop {
        let word = load(data, at)?;
        let found = leading_digits(word);
        count += found;
        if count > DIGITS_MAX {
            return None;
        }
        if found > 0 {
            value = value * POWERS_OF_TEN[found as usize] + digits_value(word, found) as i64;
        }
        at += found as usize;
        if found < 8 {
            return Some((value, at));
        }
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
