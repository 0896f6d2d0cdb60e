//! Values laid out in a guest's memory as the canonical ABI has them. All records of the contract are made of 32-bit
//! words, where the case of a variant counts as a word of which only the lowest byte is read.

/// The values begin here; what is below reads as zeros.
pub const BASE: u32 = 4096;

/// A guest's memory from [`BASE`] on.
#[derive(Default)]
pub struct Memory {
    bytes: Vec<u8>,
}

impl Memory {
    /// The place of these words.
    pub fn words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.place(&bytes)
    }

    /// A list of records of words, as a place and a length.
    pub fn records<const N: usize>(&mut self, records: &[[u32; N]]) -> [u32; 2] {
        [self.words(&records.concat()), records.len() as u32]
    }

    /// A list of numbers or bytes, as a place and a length.
    pub fn list<const N: usize>(&mut self, items: impl ExactSizeIterator<Item = [u8; N]>) -> [u32; 2] {
        let length = items.len() as u32;
        let bytes: Vec<u8> = items.flatten().collect();
        [self.place(&bytes), length]
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> [u32; 2] {
        self.list(bytes.iter().map(|byte| [*byte]))
    }

    pub fn numbers(&mut self, numbers: &[u32]) -> [u32; 2] {
        self.list(numbers.iter().map(|number| number.to_le_bytes()))
    }

    /// The whole of it as a string of WebAssembly text.
    pub fn text(&self) -> String {
        self.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
    }

    fn place(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let place = BASE + self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        place
    }
}

/// An optional value of `N` words.
pub fn option<const N: usize>(value: Option<[u32; N]>) -> Vec<u32> {
    match value {
        Some(words) => [&[1], words.as_slice()].concat(),
        None => vec![0; N + 1],
    }
}
