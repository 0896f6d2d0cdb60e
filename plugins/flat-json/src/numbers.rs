//! Numbers of JSON: their grammar, and exact conversion.
//!
//! This is the plain way, one byte at a time and the standard library's conversion; the quick
//! way in `digits` gives the same for the numbers that it takes.

use crate::fault::{Fault, kind, shown};

/// A number's text, known to be JSON.
#[derive(Clone, Copy, Debug)]
pub struct Number<'a> {
    text: &'a str,
    is_integer: bool,
}

/// Why a number does not fit a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The type wanted is another, or an integer, and this has a fraction or an exponent.
    NotThisType,
    /// The type cannot hold it.
    OutOfRange,
}

impl<'a> Number<'a> {
    /// The number that begins at `at`.
    ///
    /// # Errors
    /// `malformed-json` when what is there is not a number by JSON's grammar.
    pub fn read(record: &'a [u8], at: usize) -> Result<Number<'a>, Fault> {
        let digits =
            |from: usize| from + record[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is = |place: usize, any_of: &[u8]| record.get(place).is_some_and(|byte| any_of.contains(byte));
        let begin = at + usize::from(is(at, b"-"));
        let mut end = digits(begin);
        if end == begin || (end > begin + 1 && record[begin] == b'0') {
            return Err(not_a_number(record, at));
        }
        let integer_end = end;
        if is(end, b".") {
            end = some_digits(end + 1, digits).ok_or_else(|| not_a_number(record, at))?;
        }
        if is(end, b"eE") {
            let sign = usize::from(is(end + 1, b"+-"));
            end = some_digits(end + 1 + sign, digits).ok_or_else(|| not_a_number(record, at))?;
        }
        let text = std::str::from_utf8(&record[at..end]).map_err(|_| not_a_number(record, at))?;
        Ok(Number { text, is_integer: end == integer_end })
    }

    /// As it is written.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// # Errors
    /// When it is written with a fraction or an exponent, or exceeds 64 bits.
    pub fn to_i64(self) -> Result<i64, Misfit> {
        if !self.is_integer {
            return Err(Misfit::NotThisType);
        }
        self.text.parse().map_err(|_| Misfit::OutOfRange)
    }

    /// # Errors
    /// As for 64 bits.
    pub fn to_i32(self) -> Result<i32, Misfit> {
        self.to_i64()?.try_into().map_err(|_| Misfit::OutOfRange)
    }

    /// The nearest f64.
    ///
    /// # Errors
    /// When that would be an infinity.
    pub fn to_f64(self) -> Result<f64, Misfit> {
        self.text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or(Misfit::OutOfRange)
    }

    /// The nearest f32.
    ///
    /// # Errors
    /// When that would be an infinity.
    pub fn to_f32(self) -> Result<f32, Misfit> {
        self.text.parse().ok().filter(|value: &f32| value.is_finite()).ok_or(Misfit::OutOfRange)
    }
}

fn some_digits(begin: usize, digits: impl Fn(usize) -> usize) -> Option<usize> {
    Some(digits(begin)).filter(|&end| end > begin)
}

fn not_a_number(record: &[u8], at: usize) -> Fault {
    Fault::at(kind::MALFORMED_JSON, at, format!("{} is not a number", shown(&record[at..])))
}
