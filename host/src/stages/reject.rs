//! From a plugin's rejects to dead letters, and the rows that are left.

use std::sync::Arc;

use speed_layer_plugin::Rejects;

use super::frame::Frame;
use super::sides::{Culprit, Reason, Side, Sides};

/// Sets a plugin's rejects aside; `record_of` finds the record of a rejected number.
pub fn set_aside(
    sides: &mut Sides,
    frame: &Frame<'_>,
    rejects: Rejects,
    culprit: &Arc<Culprit>,
    record_of: impl Fn(u32) -> usize,
) {
    let reasons = rejects.rows.into_iter().zip(rejects.kinds).zip(rejects.messages);
    for ((row, kind), message) in reasons {
        let reason = Reason { side: Side::DeadLetter, kind, message };
        sides.push(frame.records, record_of(row), culprit, reason);
    }
}

/// The rows of `0..rows` that are not in `gone`, which rises.
pub fn all_but(rows: usize, gone: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut gone = gone.into_iter().peekable();
    (0..rows as u32).filter(|row| gone.next_if_eq(row).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::all_but;

    #[test]
    fn what_is_gone_is_left_out_and_nothing_else() {
        assert_eq!(all_but(5, [0, 3]), [1, 2, 4]);
        assert_eq!(all_but(3, []), [0, 1, 2]);
        assert!(all_but(2, [0, 1]).is_empty());
    }
}
