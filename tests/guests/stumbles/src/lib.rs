//! What the guests of the tests do wrong: the prices that they stumble over, each a failure on single rows, and the
//! mischief that they are up to in one of their calls.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod mischief;

use std::hint::black_box;

/// A panic.
pub const TRAP: f64 = 1_000_001.25;
/// Never returns.
pub const LOOP: f64 = 1_000_002.25;
/// Takes memory without end.
pub const HOARD: f64 = 1_000_003.25;
/// Gives one row more than there is.
pub const MISCOUNT: f64 = 1_000_004.25;

/// What a group holds whose state another mischief waits for.
pub const TRIPWIRE: f64 = 1_000_005.25;

/// All that a row can be stumbled over for.
pub const ALL: [f64; 4] = [TRAP, LOOP, HOARD, MISCOUNT];

/// Stumbles over a price; does not return from a trap, a loop or a hoard. True where the rows are to be miscounted.
pub fn stumble(price: f64) -> bool {
    if price == TRAP {
        panic!("a price of {price}");
    }
    if price == LOOP {
        loop {
            black_box(());
        }
    }
    if price == HOARD {
        hoard();
    }
    price == MISCOUNT
}

fn hoard() -> ! {
    let mut hoarded = Vec::new();
    loop {
        hoarded.push(black_box(vec![1u8; 1 << 20]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_prices_are_nothing_to_stumble_over() {
        assert!(!stumble(1.25));
        assert!(stumble(MISCOUNT));
    }
}
