//! What plugins say of themselves before they run, checked against the contract and
//! against the input they are given. The columns wanted downstream are the caller's
//! business.

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::bindings::exports::speed_layer::plugin::{aggregate, parse, transform};
use crate::bindings::speed_layer::plugin::types;
use crate::lift::lift_batch;
use crate::{Clause, schema};

/// The parts of a record that a parser reads; the others do not cross the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawFields {
    pub key: bool,
    pub value: bool,
    pub headers: bool,
    pub timestamp: bool,
}

/// A parser under some configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ParseDescription {
    /// Every column that it can give.
    pub output: SchemaRef,
    pub reads: RawFields,
}

/// A column that a plugin wants to be given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Need {
    /// A column of the input schema, by name.
    Column(String),
    /// The row's event time: timestamp, never null.
    EventTime,
    /// The record's partition: Int32, never null.
    Partition,
    /// The record's offset: Int64, never null.
    Offset,
    /// The row's place among the rows of its record, from 0: Int32, never null.
    Ordinal,
    /// The record's own timestamp: null where the broker has none.
    KafkaTimestamp,
}

impl Need {
    /// The column to give for it; `None` if `input` does not have it.
    pub fn field(&self, input: &Schema) -> Option<FieldRef> {
        let host_column = |name, kind, nullable| Some(Arc::new(Field::new(name, kind, nullable)));
        match self {
            Need::Column(name) => input.fields().find(name).map(|(_, field)| Arc::clone(field)),
            Need::EventTime => host_column("event_time", schema::timestamp(), false),
            Need::Partition => host_column("partition", DataType::Int32, false),
            Need::Offset => host_column("offset", DataType::Int64, false),
            Need::Ordinal => host_column("ordinal", DataType::Int32, false),
            Need::KafkaTimestamp => host_column("kafka_timestamp", schema::timestamp(), true),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Column(name) => write!(f, "column {name:?}"),
            Need::EventTime => f.write_str("the event time"),
            Need::Partition => f.write_str("the partition"),
            Need::Offset => f.write_str("the offset"),
            Need::Ordinal => f.write_str("the ordinal"),
            Need::KafkaTimestamp => f.write_str("the record's timestamp"),
        }
    }
}

/// Where an output column of a transform comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The input schema's column of this number, as it is.
    PassedOn(u32),
    /// Computed from these entries of the needs.
    Computed(Vec<u32>),
}

/// One output column of a transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    pub field: FieldRef,
    pub origin: Origin,
}

/// A transform over some input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformDescription {
    /// All that it may want to be given.
    pub needs: Vec<Need>,
    /// The entries of `needs` that it reads whatever is wanted.
    pub always_needs: Vec<u32>,
    pub output: Vec<OutputColumn>,
}

/// The state of one group, as columns.
#[derive(Debug, Clone, PartialEq)]
pub struct StateDescription {
    /// At least 1.
    pub version: u32,
    pub schema: SchemaRef,
    /// One row: the state of a group without rows.
    pub identity: RecordBatch,
}

/// An aggregate over some input.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateDescription {
    /// The columns that `update` is given, in this order.
    pub needs: Vec<Need>,
    pub state: StateDescription,
    /// The columns that `finish` gives.
    pub output: SchemaRef,
}

impl ParseDescription {
    pub(crate) fn lift(description: parse::Description) -> Result<Self, Clause> {
        let reads = description.reads;
        let reads = RawFields {
            key: reads.contains(parse::RawFields::KEY),
            value: reads.contains(parse::RawFields::VALUE),
            headers: reads.contains(parse::RawFields::HEADERS),
            timestamp: reads.contains(parse::RawFields::TIMESTAMP),
        };
        Ok(Self { output: schema::lift("output", description.output)?, reads })
    }
}

impl TransformDescription {
    pub(crate) fn lift(description: transform::Description, input: &Schema) -> Result<Self, Clause> {
        let needs = lift_needs(description.needs, input)?;
        check_entries("always-needs", &description.always_needs, needs.len())?;
        let output = description.output.into_iter().map(|column| lift_output(column, input, needs.len()));
        let output = output.collect::<Result<Vec<_>, Clause>>()?;
        let fields: Vec<FieldRef> = output.iter().map(|column| Arc::clone(&column.field)).collect();
        schema::check_fields("output", &fields)?;
        Ok(Self { needs, always_needs: description.always_needs, output })
    }
}

impl AggregateDescription {
    pub(crate) fn lift(description: aggregate::Description, input: &Schema) -> Result<Self, Clause> {
        Ok(Self {
            needs: lift_needs(description.needs, input)?,
            state: lift_state(description.state)?,
            output: schema::lift("output", description.output)?,
        })
    }
}

fn lift_state(state: aggregate::StateDescription) -> Result<StateDescription, Clause> {
    if state.version == 0 {
        return Err(Clause::StateVersion);
    }
    let schema = schema::lift("state", state.columns)?;
    let found = state.identity.rows as usize;
    if found != 1 {
        return Err(Clause::IdentityRows { found });
    }
    let identity = lift_batch(&schema, state.identity, 1)?;
    Ok(StateDescription { version: state.version, schema, identity })
}

/// All columns that a schema can have, those of the host, and room to spare.
const NEEDS_MAX: usize = 2_048;

/// An input without a field is one that nobody knows yet: anything may be needed of it.
fn lift_needs(needs: Vec<types::Need>, input: &Schema) -> Result<Vec<Need>, Clause> {
    let found = needs.len();
    if found > NEEDS_MAX {
        return Err(Clause::TooManyNeeds { max: NEEDS_MAX, found });
    }
    let unknown = input.fields().is_empty();
    let lifted = needs.into_iter().map(|need| {
        let need = lift_need(need);
        if unknown || need.field(input).is_some() { Ok(need) } else { Err(Clause::NeedUnknown { need }) }
    });
    lifted.collect()
}

fn lift_need(need: types::Need) -> Need {
    match need {
        types::Need::Column(name) => Need::Column(name),
        types::Need::EventTime => Need::EventTime,
        types::Need::Partition => Need::Partition,
        types::Need::Offset => Need::Offset,
        types::Need::Ordinal => Need::Ordinal,
        types::Need::KafkaTimestamp => Need::KafkaTimestamp,
    }
}

fn lift_output(
    column: transform::OutputColumn,
    input: &Schema,
    needs: usize,
) -> Result<OutputColumn, Clause> {
    let field = schema::lift_field("output", column.field)?;
    let origin = match column.origin {
        transform::Origin::PassedOn(number) => {
            check_passed_on(&field, number, input)?;
            Origin::PassedOn(number)
        }
        transform::Origin::Computed(entries) => {
            check_entries(&format!("output column {:?}", field.name()), &entries, needs)?;
            Origin::Computed(entries)
        }
    };
    Ok(OutputColumn { field, origin })
}

fn check_passed_on(field: &Field, number: u32, input: &Schema) -> Result<(), Clause> {
    let column = field.name().clone();
    let Some(source) = input.fields().get(number as usize) else {
        return Err(Clause::PassedOnOutside { column, input: number, inputs: input.fields().len() });
    };
    if source.data_type() != field.data_type() {
        let (expected, found) = (source.data_type().clone(), field.data_type().clone());
        return Err(Clause::PassedOnType { column, expected, found });
    }
    if source.is_nullable() && !field.is_nullable() {
        return Err(Clause::PassedOnNullable { column });
    }
    Ok(())
}

fn check_entries(what: &str, entries: &[u32], needs: usize) -> Result<(), Clause> {
    let found = entries.len();
    if found > needs {
        return Err(Clause::TooManyEntries { what: what.to_owned(), found, needs });
    }
    match entries.iter().find(|entry| **entry as usize >= needs) {
        Some(entry) => Err(Clause::NeedOutside { what: what.to_owned(), entry: *entry, needs }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ColumnFault;

    fn input() -> Schema {
        Schema::new(vec![
            Field::new("price", DataType::Float64, false),
            Field::new("volume", DataType::Int64, true),
        ])
    }

    fn field(name: &str, data_type: types::DataType, nullable: bool) -> types::FieldResult {
        types::FieldResult { name: name.to_owned(), data_type, nullable }
    }

    fn column(field: types::FieldResult, origin: transform::Origin) -> transform::OutputColumn {
        transform::OutputColumn { field, origin }
    }

    fn check_transform(
        always_needs: &[u32],
        output: Vec<transform::OutputColumn>,
        expected: Result<usize, Clause>,
    ) {
        let needs = vec![types::Need::Column("volume".to_owned()), types::Need::EventTime];
        let description = transform::Description { needs, always_needs: always_needs.to_vec(), output };
        let found = TransformDescription::lift(description, &input()).map(|lifted| lifted.output.len());
        assert_eq!(found, expected);
    }

    #[test]
    fn a_passed_on_column_is_the_inputs_column_as_it_is() {
        use transform::Origin::PassedOn;
        let name = || "x".to_owned();
        let (f64_, s64) = (types::DataType::F64, types::DataType::S64);
        check_transform(&[], vec![column(field("x", f64_, false), PassedOn(0))], Ok(1));
        check_transform(&[], vec![column(field("x", f64_, true), PassedOn(0))], Ok(1));
        check_transform(&[], vec![column(field("x", s64, true), PassedOn(1))], Ok(1));
        check_transform(
            &[],
            vec![column(field("x", s64, false), PassedOn(1))],
            Err(Clause::PassedOnNullable { column: name() }),
        );
        check_transform(
            &[],
            vec![column(field("x", s64, false), PassedOn(0))],
            Err(Clause::PassedOnType { column: name(), expected: DataType::Float64, found: DataType::Int64 }),
        );
        check_transform(
            &[],
            vec![column(field("x", f64_, false), PassedOn(2))],
            Err(Clause::PassedOnOutside { column: name(), input: 2, inputs: 2 }),
        );
    }

    #[test]
    fn computed_columns_and_filters_name_entries_of_the_needs() {
        let computed = |entries: &[u32]| {
            vec![column(
                field("x", types::DataType::Date32, true),
                transform::Origin::Computed(entries.to_vec()),
            )]
        };
        check_transform(&[0, 1], computed(&[0, 1]), Ok(1));
        check_transform(&[], computed(&[]), Ok(1));
        let outside = |what: &str| Clause::NeedOutside { what: what.to_owned(), entry: 2, needs: 2 };
        check_transform(&[], computed(&[0, 2]), Err(outside("output column \"x\"")));
        check_transform(&[2], computed(&[]), Err(outside("always-needs")));
        let twice = [computed(&[0]), computed(&[1])].concat();
        check_transform(&[], twice, Err(Clause::FieldTwice { part: "output", name: "x".to_owned() }));
    }

    fn check_aggregate(change: impl FnOnce(&mut aggregate::Description), expected: Result<u32, Clause>) {
        check_aggregate_over(&input(), change, expected);
    }

    fn check_aggregate_over(
        input: &Schema,
        change: impl FnOnce(&mut aggregate::Description),
        expected: Result<u32, Clause>,
    ) {
        let zero = types::ColumnResult { validity: None, data: types::ColumnDataResult::S64(vec![0]) };
        let schema = || types::SchemaResult { fields: vec![field("n", types::DataType::S64, false)] };
        let mut description = aggregate::Description {
            needs: vec![types::Need::Column("price".to_owned()), types::Need::Offset],
            state: aggregate::StateDescription {
                version: 1,
                columns: schema(),
                identity: types::BatchResult { rows: 1, columns: vec![zero] },
            },
            output: schema(),
        };
        change(&mut description);
        let found = AggregateDescription::lift(description, input).map(|lifted| lifted.state.version);
        assert_eq!(found, expected);
    }

    #[test]
    fn an_aggregates_needs_are_columns_of_its_input() {
        check_aggregate(|_| {}, Ok(1));
        let need = Need::Column("prize".to_owned());
        check_aggregate(
            |description| description.needs[0] = types::Need::Column("prize".to_owned()),
            Err(Clause::NeedUnknown { need }),
        );
        check_aggregate_over(&Schema::empty(), |_| {}, Ok(1));
    }

    #[test]
    fn a_state_has_a_version_and_an_identity_of_one_row() {
        check_aggregate(|description| description.state.version = 7, Ok(7));
        check_aggregate(|description| description.state.version = 0, Err(Clause::StateVersion));
        check_aggregate(
            |description| description.state.identity.rows = 0,
            Err(Clause::IdentityRows { found: 0 }),
        );
        check_aggregate(
            |description| description.state.identity.rows = 2,
            Err(Clause::IdentityRows { found: 2 }),
        );
        let fault = ColumnFault::Type { expected: DataType::Int64, found: "f64" };
        check_aggregate(
            |description| {
                description.state.identity.columns[0].data = types::ColumnDataResult::F64(vec![0.0])
            },
            Err(Clause::Column { column: "n".to_owned(), fault }),
        );
        let fault = ColumnFault::Null { row: 0 };
        check_aggregate(
            |description| description.state.identity.columns[0].validity = Some(vec![0]),
            Err(Clause::Column { column: "n".to_owned(), fault }),
        );
        check_aggregate(
            |description| description.state.columns.fields.clear(),
            Err(Clause::ColumnCount { expected: 0, found: 1 }),
        );
    }
}
