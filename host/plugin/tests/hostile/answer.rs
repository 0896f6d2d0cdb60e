//! What the functions of a well-behaved guest return, each part open to be changed into a lie.

use crate::abi::{Memory, option};
use crate::calls::Call;

/// Records, rows or groups that every call is given.
pub const GIVEN: u32 = 3;

/// The cases of the contract's types.
const BOOLEAN: u32 = 0;
pub const S64: u32 = 2;
const DECIMAL: u32 = 7;
const UTF8: u32 = 8;
const DICTIONARY: u32 = 10;

#[derive(Clone)]
pub struct VarBytes {
    pub offsets: Vec<u32>,
    pub data: Vec<u8>,
}

#[derive(Clone)]
pub struct Column {
    pub validity: Option<Vec<u8>>,
    pub data: Data,
}

#[derive(Clone)]
pub enum Data {
    Boolean(Vec<u8>),
    S64(Vec<i64>),
    Decimal(Vec<u64>),
    Utf8(VarBytes),
    Dictionary {
        keys: Vec<u32>,
        values: VarBytes,
    },
    /// The words themselves, whatever they mean.
    Words([u32; 7]),
}

/// The places of the columns in [`Answer::columns`].
pub const FLAG: usize = 0;
pub const COUNT: usize = 1;
pub const AMOUNT: usize = 2;
pub const TEXT: usize = 3;
pub const WORD: usize = 4;

#[derive(Clone)]
pub struct Field {
    pub name: String,
    /// The case of its type, and the precision and scale of a decimal.
    pub kind: [u32; 3],
    pub nullable: bool,
}

#[derive(Clone, Default)]
pub struct Rejects {
    pub rows: Vec<u32>,
    pub kinds: VarBytes,
    pub messages: VarBytes,
}

/// The parts of every function's result; each function takes those that are its own.
#[derive(Clone)]
pub struct Answer {
    pub fields: Vec<Field>,
    /// Of a parser: the parts of a record that it reads, as bits.
    pub reads: u32,
    /// The columns that it needs, by name.
    pub needs: Vec<String>,
    /// Of a transform: entries of `needs`.
    pub always: Vec<u32>,
    /// Of a transform: the input column that the first output column is, if it is one.
    pub passed_on: Option<u32>,
    pub state_version: u32,
    pub rows: u32,
    pub columns: Vec<Column>,
    pub origins: Option<Vec<u32>>,
    pub rejects: Rejects,
}

impl Default for VarBytes {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl VarBytes {
    pub fn of(texts: &[&[u8]]) -> Self {
        let ends = texts.iter().scan(0, |end, text| {
            *end += text.len() as u32;
            Some(*end)
        });
        Self { offsets: std::iter::once(0).chain(ends).collect(), data: texts.concat() }
    }

    fn words(&self, memory: &mut Memory) -> [u32; 4] {
        let [offsets, count] = memory.numbers(&self.offsets);
        let [data, length] = memory.bytes(&self.data);
        [offsets, count, data, length]
    }
}

impl Data {
    fn words(&self, memory: &mut Memory) -> [u32; 7] {
        let simple = |case, [place, length]: [u32; 2]| [case, place, length, 0, 0, 0, 0];
        match self {
            Self::Boolean(bytes) => simple(BOOLEAN, memory.bytes(bytes)),
            Self::S64(values) => simple(S64, memory.list(values.iter().map(|value| value.to_le_bytes()))),
            Self::Decimal(words) => simple(DECIMAL, memory.list(words.iter().map(|word| word.to_le_bytes()))),
            Self::Utf8(texts) => {
                let [offsets, count, data, length] = texts.words(memory);
                [UTF8, offsets, count, data, length, 0, 0]
            }
            Self::Dictionary { keys, values } => {
                let ([keys, count], values) = (memory.numbers(keys), values.words(memory));
                [DICTIONARY, keys, count, values[0], values[1], values[2], values[3]]
            }
            Self::Words(words) => *words,
        }
    }

    /// The texts of a column that has some.
    pub fn texts(&mut self) -> &mut VarBytes {
        match self {
            Self::Utf8(texts) | Self::Dictionary { values: texts, .. } => texts,
            _ => panic!("no column of texts"),
        }
    }
}

impl Column {
    fn words(&self, memory: &mut Memory) -> [u32; 10] {
        let validity = option(self.validity.as_ref().map(|bytes| memory.bytes(bytes)));
        let data = self.data.words(memory);
        [validity, data.to_vec()].concat().try_into().unwrap()
    }
}

impl Field {
    fn words(&self, memory: &mut Memory) -> [u32; 3] {
        let [place, length] = memory.bytes(self.name.as_bytes());
        let [case, precision, scale] = self.kind;
        [place, length, case | precision << 8 | scale << 16 | u32::from(self.nullable) << 24]
    }
}

impl Answer {
    /// The right one to a call.
    pub fn to(call: Call) -> Self {
        let field =
            |name: &str, kind, nullable| Field { name: name.to_owned(), kind: [kind, 0, 0], nullable };
        let mut amount = field("amount", DECIMAL, true);
        amount.kind[1] = 3;
        let (flag, count) = (field("flag", BOOLEAN, true), field("count", S64, false));
        let mut answer = Self {
            fields: vec![flag, count, amount, field("text", UTF8, true), field("word", DICTIONARY, true)],
            reads: 0,
            needs: vec!["price".to_owned()],
            always: vec![0],
            passed_on: None,
            state_version: 1,
            rows: 0,
            columns: Vec::new(),
            origins: None,
            rejects: Rejects::default(),
        };
        answer.resize(if call.describes() { 1 } else { GIVEN });
        answer
    }

    /// So many good rows.
    pub fn resize(&mut self, rows: u32) {
        let texts = VarBytes::of(&vec![b"ab".as_slice(); rows as usize]);
        let values = VarBytes::of(&[b"ab"]);
        let rows = rows as usize;
        let all = [
            Data::Boolean(vec![0xff; rows.div_ceil(8)]),
            Data::S64(vec![1; rows]),
            Data::Decimal(vec![0; 2 * rows]),
            Data::Utf8(texts),
            Data::Dictionary { keys: vec![0; rows], values },
        ];
        self.columns = all.map(|data| Column { validity: None, data }).into();
        self.rows = rows as u32;
    }

    /// Lays out the result of a call; its place.
    pub fn place(&self, call: Call, memory: &mut Memory) -> u32 {
        let mut words = vec![0];
        words.extend(match (call.stage.name(), call.function) {
            (_, "open") => Vec::new(),
            ("parse", "describe") => [self.schema(memory), vec![self.reads]].concat(),
            ("transform", "describe") => self.transform(memory),
            ("aggregate", "describe") => self.aggregate(memory),
            (_, "parse" | "transform") => {
                let origins = self.origins.as_ref().map(|origins| memory.numbers(origins));
                [self.batch(memory), option(origins), self.rejects(memory)].concat()
            }
            (_, "finish") => [self.batch(memory), self.rejects(memory)].concat(),
            _ => self.batch(memory),
        });
        memory.words(&words)
    }

    fn schema(&self, memory: &mut Memory) -> Vec<u32> {
        let fields: Vec<_> = self.fields.iter().map(|field| field.words(memory)).collect();
        memory.records(&fields).into()
    }

    fn needs(&self, memory: &mut Memory) -> Vec<u32> {
        let mut need = |name: &String| {
            let [place, length] = memory.bytes(name.as_bytes());
            [0, place, length]
        };
        let needs: Vec<_> = self.needs.iter().map(&mut need).collect();
        memory.records(&needs).into()
    }

    fn transform(&self, memory: &mut Memory) -> Vec<u32> {
        let (needs, always) = (self.needs(memory), memory.numbers(&self.always));
        let mut passed_on = self.passed_on.iter();
        let column = |field: &Field| {
            let [place, length, kind] = field.words(memory);
            let origin = passed_on.next().map_or([1, 0, 0], |input| [0, *input, 0]);
            [place, length, kind, origin[0], origin[1], origin[2]]
        };
        let output: Vec<_> = self.fields.iter().map(column).collect();
        [needs, always.into(), memory.records(&output).into()].concat()
    }

    fn aggregate(&self, memory: &mut Memory) -> Vec<u32> {
        let (needs, schema) = (self.needs(memory), self.schema(memory));
        [needs, vec![self.state_version], schema.clone(), self.batch(memory), schema].concat()
    }

    fn batch(&self, memory: &mut Memory) -> Vec<u32> {
        let columns: Vec<_> = self.columns.iter().map(|column| column.words(memory)).collect();
        let [place, count] = memory.records(&columns);
        vec![self.rows, place, count]
    }

    fn rejects(&self, memory: &mut Memory) -> Vec<u32> {
        let Rejects { rows, kinds, messages } = &self.rejects;
        let rows = memory.numbers(rows);
        [rows.as_slice(), &kinds.words(memory), &messages.words(memory)].concat()
    }
}
