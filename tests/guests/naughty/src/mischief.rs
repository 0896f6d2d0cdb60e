//! Which mischief an instance is up to: `ACTION CALL [CALLS BEFORE]`, read from a text in the component.
//!
//! The configuration stays the job's own in a swap, so it cannot say. The text is padded to a fixed length
//! behind a mark, and the tests write another one over it in the built file: many components of one build.

use std::hint::black_box;

/// What the tests look for in the component's bytes.
const MARK: &str = "naughty guest up to: ";

/// The mark and the text, padded by spaces.
static TEXT: [u8; 64] = *b"naughty guest up to: nothing update                             ";

/// What to do instead of the right thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The right thing. `nothing migrate` has a state of version 2 that migrates well.
    Nothing,
    /// A panic.
    Trap,
    /// Never returns.
    Loop,
    /// Takes memory without end.
    Hoard,
    /// A refusal; stops the job where no refusal can be given.
    Refuse,
    /// Asks for the batch again where that can be asked, as `Refuse` otherwise.
    Retry,
    /// Says one row more than there is.
    Miscount,
    /// Counts one tick too many in every group.
    Lie,
    /// Does what the prices say that the other guests stumble over.
    Stumble,
}

/// The action, the call that it is for, and how many calls of the instance go well before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mischief<'a> {
    pub action: Action,
    pub call: &'a str,
    pub calls_before: u32,
}

impl Mischief<'_> {
    /// This component's own. The optimiser must not know the text, since it is not yet the last one.
    pub fn own() -> Option<Mischief<'static>> {
        let text: &'static [u8; 64] = black_box(&TEXT);
        Mischief::read(std::str::from_utf8(text).ok()?.strip_prefix(MARK)?)
    }

    fn read(text: &str) -> Option<Mischief<'_>> {
        let mut words = text.split_whitespace();
        let action = match words.next()? {
            "nothing" => Action::Nothing,
            "trap" => Action::Trap,
            "loop" => Action::Loop,
            "hoard" => Action::Hoard,
            "refuse" => Action::Refuse,
            "retry" => Action::Retry,
            "miscount" => Action::Miscount,
            "lie" => Action::Lie,
            "stumble" => Action::Stumble,
            _ => return None,
        };
        let call = words.next()?;
        let calls_before = words.next().map_or(Some(0), |count| count.parse().ok())?;
        Some(Mischief { action, call, calls_before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(Action, &str, u32)>) {
        let read = Mischief::read(text).map(|found| (found.action, found.call, found.calls_before));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_text_names_action_call_and_the_calls_before() {
        check("trap update   ", Some((Action::Trap, "update", 0)));
        check("loop finish 3 ", Some((Action::Loop, "finish", 3)));
        check("trap", None);
        check("sing update", None);
        check("trap update soon", None);
    }

    #[test]
    fn as_it_is_built_it_is_up_to_nothing() {
        assert_eq!(Mischief::own().map(|found| found.action), Some(Action::Nothing));
    }
}
