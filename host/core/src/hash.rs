//! The hash of group keys: fast on short keys and the same in every run, so that
//! what depends on a table's order does not differ from run to run. Not a defence
//! against keys made to collide.

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;

/// The hash of one key.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u64 {
    let (blocks, rest) = key.as_chunks::<16>();
    let mut state = SEED ^ key.len() as u64;
    for block in blocks {
        let (low, high) = halves(u128::from_le_bytes(*block));
        state = fold(low ^ state, high ^ FACTOR);
    }
    let (low, high) = tail(rest);
    fold(low ^ state, high ^ FACTOR)
}

fn halves(block: u128) -> (u64, u64) {
    (block as u64, (block >> 64) as u64)
}

/// Both halves of the product, so that every bit of the input reaches every bit.
fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = halves(u128::from(a) * u128::from(b));
    low ^ high
}

/// Up to 15 bytes as two words, which overlap where there are fewer than 16.
fn tail(rest: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    let byte = |at: usize| rest.get(at).copied().map_or(0, u64::from);
    (byte(0) << 16 | byte(1) << 8 | byte(2), 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_of_every_length_have_their_own_hash() {
        let bytes: Vec<u8> = (1..=64).collect();
        let zeros = [0; 64];
        let prefixes = (0..=64).flat_map(|len| [hash(&bytes[..len]), hash(&zeros[..len])]);
        // The empty prefix is there twice.
        assert_eq!(prefixes.collect::<BTreeSet<u64>>().len(), 2 * 65 - 1);
    }

    #[test]
    fn numbered_keys_spread_over_the_low_and_the_high_bits() {
        let hashes: Vec<u64> = (0..65_536).map(|n| hash(format!("SYM{n}USDT").as_bytes())).collect();
        let low: BTreeSet<u64> = hashes.iter().map(|hash| hash & 0xFFFF).collect();
        let high: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 48).collect();
        // A random function reaches 63 % of the values.
        assert!(low.len() > 40_000 && high.len() > 40_000, "{} {}", low.len(), high.len());
    }
}
