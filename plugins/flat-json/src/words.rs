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

/// Marks (by its highest bit) the first byte of a word that is not a decimal digit, and the
/// next one if what is between them and the first one are ASCII.
#[inline(always)]
pub fn not_digits(word: u64) -> u64 {
    let values = word ^ (LOW_BITS * 0x30);
    (values.wrapping_add(LOW_BITS * 0x76) | values) & HIGH_BITS
}

/// How many bytes come before the first one that is marked; 8 if none is.
#[inline(always)]
pub fn before(marks: u64) -> u32 {
    marks.trailing_zeros() / 8
}

/// The word without the byte at `place` (0 to 6), the later ones moved up.
#[inline(always)]
pub fn without_byte(word: u64, place: u32) -> u64 {
    let earlier = (1 << (8 * place)) - 1;
    (word & earlier) | (word >> 8 & !earlier)
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

/// The 32 bytes at `at` as two words, the first one lowest; none if the data ends before.
#[inline(always)]
pub fn load_twice_16(data: &[u8], at: usize) -> Option<[u128; 2]> {
    let bytes: &[u8; 32] = data.get(at..)?.first_chunk()?;
    let half = |begin: usize| bytes[begin..].first_chunk().map(|half| u128::from_le_bytes(*half));
    Some([half(0)?, half(16)?])
}

/// How many of a word's bytes, from the first one, may stand in a string of plain ASCII: no
/// quote, no backslash, no control character.
#[inline(always)]
pub fn leading_plain(word: u64) -> u32 {
    let equals = |byte: u64| (word ^ (LOW_BITS * byte)).wrapping_sub(LOW_BITS);
    let control = word.wrapping_sub(LOW_BITS * 0x20);
    let special = (equals(b'"'.into()) | equals(b'\\'.into()) | control | word) & HIGH_BITS;
    before(special)
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
        check(b'7', |byte| byte.is_ascii_digit(), |word| before(not_digits(word)));
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
    fn the_point_and_the_end_of_a_number_are_both_marked_and_the_point_taken_out() {
        for (text, point, end) in
            [("1.5,4.67", 1, 3), ("132.14, ", 3, 6), ("12345.7}", 5, 7), ("1..2  78", 1, 2)]
        {
            let word = load(text.as_bytes(), 0).unwrap();
            let marks = not_digits(word);
            assert_eq!((before(marks), before(marks & (marks - 1))), (point, end), "{text}");
            let without: Vec<u8> = text
                .bytes()
                .enumerate()
                .filter(|(i, _)| *i != point as usize)
                .map(|(_, byte)| byte)
                .collect();
            assert_eq!(without_byte(word, point).to_le_bytes()[..7], without[..]);
        }
    }

    #[test]
    fn a_word_is_loaded_only_whole() {
        assert_eq!(load(b"12345678", 0), Some(0x3837_3635_3433_3231));
        assert_eq!([load(b"12345678", 1), load(b"", 0), load(b"", 9)], [None; 3]);
    }
}
