//! Eight bytes at a time: loading them, and finding bytes among them.
//!
//! All of it is arithmetic on one little-endian word; nothing reads outside its slice.

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The eight bytes at `at`, the first one lowest; none if the data ends before.
#[inline(always)]
pub fn load(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// How many of a word's bytes, from the first one, are decimal digits.
#[inline(always)]
pub fn leading_digits(word: u64) -> u32 {
    let values = word ^ (LOW_BITS * 0x30);
    let not_digits = (values.wrapping_add(LOW_BITS * 0x76) | values) & HIGH_BITS;
    not_digits.trailing_zeros() / 8
}

/// The number that the first `count` bytes make, which are 1 to 8 digits.
#[inline(always)]
pub fn digits_value(word: u64, count: u32) -> u64 {
    let values = (word ^ (LOW_BITS * 0x30)) << (64 - 8 * count);
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let odd = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    even.wrapping_add(odd) >> 32
}

/// How many of a word's bytes, from the first one, may stand in a string of plain ASCII: no
/// quote, no backslash, no control character.
#[inline(always)]
pub fn leading_plain(word: u64) -> u32 {
    let equals = |byte: u64| (word ^ (LOW_BITS * byte)).wrapping_sub(LOW_BITS);
    let control = word.wrapping_sub(LOW_BITS * 0x20);
    let special = (equals(b'"'.into()) | equals(b'\\'.into()) | control | word) & HIGH_BITS;
    special.trailing_zeros() / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place, among bytes that count.
    fn check(filler: u8, counts: impl Fn(u8) -> bool, count: impl Fn(u64) -> u32) {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                for after in [filler, byte, 0, 0xff] {
                    let mut bytes = [after; 8];
                    bytes[..place].fill(filler);
                    bytes[place] = byte;
                    let expected = bytes.iter().take_while(|byte| counts(**byte)).count();
                    assert_eq!(count(u64::from_le_bytes(bytes)) as usize, expected, "{bytes:x?}");
                }
            }
        }
    }

    #[test]
    fn digits_and_plain_bytes_are_counted_up_to_the_first_other_one() {
        check(b'7', |byte| byte.is_ascii_digit(), leading_digits);
        let is_plain = |byte: u8| (0x20..0x80).contains(&byte) && byte != b'"' && byte != b'\\';
        check(b'x', is_plain, leading_plain);
    }

    #[test]
    fn the_value_of_one_to_eight_digits_is_exact() {
        for count in 1..=8u32 {
            for value in [0, 1, 9, 10, 99, 12_345_678, 87_654_321, 99_999_999u64] {
                let value = value % 10u64.pow(count);
                let text = format!("{value:0width$}", width = count as usize)
                    + &".,x\"]}\0\u{7f}"[..8 - count as usize];
                assert_eq!(digits_value(load(text.as_bytes(), 0).unwrap(), count), value, "{text}");
            }
        }
    }

    #[test]
    fn a_word_is_loaded_only_whole() {
        assert_eq!(load(b"12345678", 0), Some(0x3837_3635_3433_3231));
        assert_eq!([load(b"12345678", 1), load(b"", 0), load(b"", 9)], [None; 3]);
    }
}
