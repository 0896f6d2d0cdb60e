//! The clauses of the contract that the host checks, and how each reads when a plugin
//! breaks it. The checks themselves are in `lift` and `describe`.

use arrow_schema::DataType;

use crate::Need;

/// What a plugin returned against the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clause {
    #[error("it gave {found} columns where {expected} were agreed on")]
    ColumnCount { expected: usize, found: usize },
    #[error("column {column:?} {fault}")]
    Column { column: String, fault: ColumnFault },
    #[error("it gave {found} rows where there must be {expected}, one for each it was given")]
    RowCount { expected: usize, found: usize },
    #[error("it gave {found} rows, more than the {max} that one call may give")]
    TooManyRows { max: usize, found: usize },
    #[error("it gave more than the {max} bytes that one call may give")]
    TooManyBytes { max: usize },
    #[error("it returned values that do not have the form of the contract's types ({detail})")]
    Form { detail: String },

    #[error("it left out which of the {given} inputs its {rows} rows came from, though it {because}")]
    OriginsMissing { given: usize, rows: usize, because: &'static str },
    #[error("it named the origin of {found} rows and gave {rows}")]
    OriginsLength { rows: usize, found: usize },
    #[error("the origins of its rows go back at row {row}")]
    OriginsFall { row: usize },
    #[error("the kept rows do not rise strictly at entry {entry}")]
    KeptNotRising { entry: usize },
    #[error("row {row} came from input {origin}, and only {given} inputs were given")]
    OriginOutside { row: usize, origin: u32, given: usize },
    #[error("input {input} is rejected and gives a row too")]
    RejectedAndKept { input: u32 },

    #[error("the rejected inputs do not rise strictly at entry {entry}")]
    RejectsNotRising { entry: usize },
    #[error("it rejects input {input}, and only {given} inputs were given")]
    RejectOutside { input: u32, given: usize },
    #[error("the {part} of its rejects {fault}")]
    RejectText { part: &'static str, fault: ColumnFault },
    #[error("reject {entry} has the kind {kind:?}; a kind is 1 to 64 characters of a-z, 0-9 and '-'")]
    RejectKind { entry: usize, kind: String },

    #[error("the {part} schema has {found} fields, more than {max}")]
    TooManyFields { part: &'static str, max: usize, found: usize },
    #[error("field {field} of the {part} schema has a name of {bytes} bytes; 1 to 255 are allowed")]
    FieldName { part: &'static str, field: usize, bytes: usize },
    #[error("the {part} schema has two fields named {name:?}")]
    FieldTwice { part: &'static str, name: String },
    #[error(
        "field {name:?} of the {part} schema is a decimal of precision {precision} and scale {scale}; the \
         precision must be 1 to 38 and the scale at most the precision"
    )]
    DecimalShape { part: &'static str, name: String, precision: u8, scale: u8 },

    #[error("it needs {need}, which its input does not have")]
    NeedUnknown { need: Need },
    #[error("it needs {found} columns, more than {max}")]
    TooManyNeeds { max: usize, found: usize },
    #[error("{what} names entry {entry} of its needs, and there are {needs}")]
    NeedOutside { what: String, entry: u32, needs: usize },
    #[error("{what} names {found} entries of its needs, and there are {needs}")]
    TooManyEntries { what: String, found: usize, needs: usize },
    #[error("output column {column:?} passes on input column {input}, and there are {inputs}")]
    PassedOnOutside { column: String, input: u32, inputs: usize },
    #[error("output column {column:?} passes on a column of type {expected} but says {found}")]
    PassedOnType { column: String, expected: DataType, found: DataType },
    #[error("output column {column:?} passes on a column that may be null but says that it is never null")]
    PassedOnNullable { column: String },
    #[error("the state's version is 0; versions begin at 1")]
    StateVersion,
    #[error("the identity state has {found} rows; it must be exactly one")]
    IdentityRows { found: usize },
    #[error("its values do not make an Arrow batch ({detail})")]
    Arrow { detail: String },
}

/// What is wrong with the values of one column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnFault {
    #[error("was agreed to be {expected} and came as {found}")]
    Type { expected: DataType, found: &'static str },
    #[error("has {found} values where {expected} are needed")]
    Length { expected: usize, found: usize },
    #[error("has a validity bitmap of {found} bytes; {expected} are needed")]
    ValidityBytes { expected: usize, found: usize },
    #[error("is never null by its schema and is null at row {row}")]
    Null { row: usize },
    #[error("has {found} bytes of packed booleans; {expected} are needed")]
    BooleanBytes { expected: usize, found: usize },
    #[error("has {found} offsets; {expected} are needed")]
    OffsetCount { expected: usize, found: usize },
    #[error("has offsets that begin with {found} and not with 0")]
    OffsetsBegin { found: u32 },
    #[error("has offsets that go back at row {row}")]
    OffsetsFall { row: usize },
    #[error("has offsets that end at {found} and data of {bytes} bytes")]
    OffsetsEnd { found: u32, bytes: usize },
    #[error("has {bytes} bytes of data, more than a column can hold")]
    TooLong { bytes: usize },
    #[error("is text and holds no valid UTF-8 at row {row}")]
    NotUtf8 { row: usize },
    #[error("has at row {row} the key {key} into {values} values")]
    Key { row: usize, key: u32, values: usize },
    #[error("has at row {row} a number of more than {precision} digits")]
    Digits { row: usize, precision: u8 },
    #[error("is not a valid Arrow column ({detail})")]
    Arrow { detail: String },
}
