//! A small generator of random numbers (SplitMix64): a seed gives the same run anywhere.

pub struct Prng(u64);

impl Prng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A short text of characters that are hard to encode or to escape.
    pub fn text(&mut self) -> String {
        const HARD: [char; 16] =
            ['a', 'Z', '\0', '\u{1}', '/', '=', '%', '.', ' ', '^', '\u{7f}', '}', 'é', '漢', '🦀', '2'];
        (0..self.below(6)).map(|_| self.choose(&HARD)).collect()
    }
}
