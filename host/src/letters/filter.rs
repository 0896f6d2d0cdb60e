//! Which letters are meant: by kind, stage, partition and offset. What is not asked for
//! does not restrict.

use std::str::FromStr;

use speed_layer_store::kept_letters::KeptLetter;

/// All that are given must hold; of several kinds, stages or partitions any one.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub kinds: Vec<String>,
    pub stages: Vec<String>,
    pub partitions: Vec<i32>,
    pub offsets: Option<OffsetSpan>,
}

/// Offsets `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetSpan {
    from: i64,
    to: i64,
}

impl Filter {
    pub fn takes(&self, letter: &KeptLetter) -> bool {
        let is_one = |asked: &[String], text: &String| asked.is_empty() || asked.contains(text);
        is_one(&self.kinds, &letter.kind)
            && is_one(&self.stages, &letter.stage)
            && (self.partitions.is_empty() || self.partitions.contains(&letter.partition))
            && self.offsets.is_none_or(|span| (span.from..span.to).contains(&letter.offset))
    }
}

impl FromStr for OffsetSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(offset),
            _ => {
                Err(format!("`{text}` is no offset; give A..B, A.. or ..B (B is not inside), or one offset"))
            }
        };
        let span = match text.split_once("..") {
            None => {
                let only = number(text)?;
                Self { from: only, to: only.saturating_add(1) }
            }
            Some((from, to)) => Self {
                from: if from.is_empty() { 0 } else { number(from)? },
                to: if to.is_empty() { i64::MAX } else { number(to)? },
            },
        };
        if span.from < span.to { Ok(span) } else { Err(format!("`{text}` holds no offset")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> KeptLetter {
        KeptLetter {
            partition: 2,
            offset: 10,
            kind: "empty".into(),
            stage: "parse".into(),
            ..KeptLetter::default()
        }
    }

    #[test]
    fn a_span_of_offsets_is_read_as_it_is_written_everywhere_else() {
        for (text, expected) in [
            ("3..5", Some((3, 5))),
            ("3..", Some((3, i64::MAX))),
            ("..5", Some((0, 5))),
            ("..", Some((0, i64::MAX))),
            ("7", Some((7, 8))),
            ("5..5", None),
            ("5..3", None),
            ("-1..3", None),
            ("a..b", None),
            ("", None),
        ] {
            let span = expected.map(|(from, to)| OffsetSpan { from, to });
            assert_eq!(text.parse().ok(), span, "{text}");
        }
    }

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let check = |kinds: &[&str], stages: &[&str], partitions: &[i32], offsets: &str, expected: bool| {
            let filter = Filter {
                kinds: words(kinds),
                stages: words(stages),
                partitions: partitions.to_vec(),
                offsets: offsets.parse().ok(),
            };
            assert_eq!(filter.takes(&letter()), expected, "{filter:?}");
        };
        check(&[], &[], &[], "", true);
        check(&["late", "empty"], &["parse"], &[1, 2], "10", true);
        check(&["late"], &[], &[], "", false);
        check(&[], &["clock"], &[], "", false);
        check(&[], &[], &[0], "", false);
        check(&[], &[], &[], "0..10", false);
        check(&["empty"], &[], &[], "11..", false);
    }
}
