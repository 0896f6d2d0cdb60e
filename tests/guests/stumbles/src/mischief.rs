//! Which mischief an instance is up to: `ACTION CALL [NUMBER]`, read from a text in the component, and what is the
//! same in every call of it.
//!
//! The configuration stays the job's own in a swap, so it cannot say. The text is padded to a fixed length
//! behind a mark, and the tests write another one over it in the built file: many components of one build.

use std::cell::Cell;
use std::hint::black_box;

use crate::hoard;

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
    /// As `Lie`, but one more with each call of the instance: the same input never gives the same again.
    Vary,
    /// Does what the prices say that guests stumble over.
    Stumble,
    /// The right thing, late: after `NUMBER` times 100,000 rounds of nothing.
    Dawdle,
}

/// The action, the call that it is for, and the number: but for `Dawdle` of the calls of the instance that go well
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mischief<'a> {
    action: Action,
    call: &'a str,
    number: u32,
    /// Only where a state holds the tripwire: `trip-ACTION`.
    trips: bool,
}

std::thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// What this call is to do; does not return from a trap, a loop or a hoard.
pub fn misbehave(call: &str) -> Action {
    let Some(own) = Mischief::own().filter(|own| own.call == call && !own.trips) else {
        return Action::Nothing;
    };
    own.act()
}

/// What a call is to do that is given states, of which one may hold the tripwire.
pub fn trip(call: &str, is_tripped: bool) -> Action {
    match Mischief::own().filter(|own| own.call == call && own.trips && is_tripped) {
        Some(own) => own.act(),
        None => misbehave(call),
    }
}

/// How often this instance was called where it misbehaves.
pub fn calls() -> u32 {
    CALLS.get()
}

/// Whether it is up to something in this call.
pub fn is_up_to(call: &str) -> bool {
    Mischief::own().is_some_and(|own| own.call == call)
}

impl Mischief<'_> {
    /// Does it, or says what is left to do.
    fn act(self) -> Action {
        let calls = calls();
        CALLS.set(calls + 1);
        match self.action {
            Action::Dawdle => {
                for round in 0..u64::from(self.number) * 100_000 {
                    black_box(round);
                }
            }
            _ if calls < self.number => return Action::Nothing,
            Action::Trap => panic!("as the component's text says"),
            Action::Loop => loop {
                black_box(());
            },
            Action::Hoard => hoard(),
            _ => {}
        }
        self.action
    }

    /// This component's own. The optimiser must not know the text, since it is not yet the last one.
    fn own() -> Option<Mischief<'static>> {
        let text: &'static [u8; 64] = black_box(&TEXT);
        Mischief::read(std::str::from_utf8(text).ok()?.strip_prefix(MARK)?)
    }

    fn read(text: &str) -> Option<Mischief<'_>> {
        let mut words = text.split_whitespace();
        let first = words.next()?;
        let (trips, action) = first.strip_prefix("trip-").map_or((false, first), |action| (true, action));
        let action = match action {
            "nothing" => Action::Nothing,
            "trap" => Action::Trap,
            "loop" => Action::Loop,
            "hoard" => Action::Hoard,
            "refuse" => Action::Refuse,
            "retry" => Action::Retry,
            "miscount" => Action::Miscount,
            "lie" => Action::Lie,
            "vary" => Action::Vary,
            "stumble" => Action::Stumble,
            "dawdle" => Action::Dawdle,
            _ => return None,
        };
        let call = words.next()?;
        let number = words.next().map_or(Some(0), |number| number.parse().ok())?;
        Some(Mischief { action, call, number, trips })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(Action, &str, u32)>) {
        let read = Mischief::read(text).map(|found| (found.action, found.call, found.number));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_text_names_action_call_and_number() {
        check("trap update   ", Some((Action::Trap, "update", 0)));
        check("loop finish 3 ", Some((Action::Loop, "finish", 3)));
        check("dawdle parse 250", Some((Action::Dawdle, "parse", 250)));
        check("trip-trap merge", Some((Action::Trap, "merge", 0)));
        check("trap", None);
        check("sing update", None);
        check("trap update soon", None);
    }

    #[test]
    fn as_it_is_built_it_is_up_to_nothing() {
        assert_eq!(Mischief::own().map(|found| found.action), Some(Action::Nothing));
    }
}
