//! Which checkpoints may be dropped. Decides over epochs alone; removes nothing.

use super::names::Epoch;

/// The newest checkpoints that are always kept: the one in force and two to fall
/// back to.
pub const CHECKPOINTS_KEPT: usize = 3;

/// Of the checkpoints `found`, those that are not needed any more once `sealed` is
/// sealed and published. What is newer than `sealed` is not ours to judge and stays.
pub fn droppable(found: &[Epoch], sealed: Epoch) -> Vec<Epoch> {
    let mut ours: Vec<Epoch> = found.iter().copied().filter(|epoch| *epoch <= sealed).collect();
    ours.sort_unstable_by(|a, b| b.cmp(a));
    ours.split_off(ours.len().min(CHECKPOINTS_KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_newest_checkpoints_stay() {
        let check = |found: &[u64], sealed, dropped: &[u64]| {
            let found: Vec<_> = found.iter().copied().map(Epoch).collect();
            let expected: Vec<_> = dropped.iter().copied().map(Epoch).collect();
            assert_eq!(droppable(&found, Epoch(sealed)), expected);
        };
        check(&[], 1, &[]);
        check(&[1, 2, 3], 3, &[]);
        check(&[4, 2, 1, 3], 4, &[1]);
        check(&[1, 2, 7, 8, 9], 9, &[2, 1]);
        check(&[1, 2, 3, 4, 9], 4, &[1]);
    }
}
