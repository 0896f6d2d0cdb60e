//! Schemas across the boundary, both ways, with the contract's rules for names and
//! decimals. Metadata does not cross.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use crate::Clause;
use crate::bindings::speed_layer::plugin::types;

const FIELDS_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 255;
const PRECISION_MAX: u8 = 38;

/// Event times and other instants.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

/// Text where few values repeat often.
pub(crate) fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// The schema that a plugin gave. `part` says which one it is ("output", "state").
pub(crate) fn lift(part: &'static str, schema: types::SchemaResult) -> Result<SchemaRef, Clause> {
    let fields = schema.fields.into_iter().map(|field| lift_field(part, field));
    let fields = fields.collect::<Result<Vec<FieldRef>, Clause>>()?;
    check_fields(part, &fields)?;
    Ok(Arc::new(Schema::new(fields)))
}

/// One field, its type checked; its name is checked with those beside it.
pub(crate) fn lift_field(part: &'static str, field: types::FieldResult) -> Result<FieldRef, Clause> {
    let data_type = match field.data_type {
        types::DataType::Boolean => DataType::Boolean,
        types::DataType::S32 => DataType::Int32,
        types::DataType::S64 => DataType::Int64,
        types::DataType::F32 => DataType::Float32,
        types::DataType::F64 => DataType::Float64,
        types::DataType::Date32 => DataType::Date32,
        types::DataType::TimestampUs => timestamp(),
        types::DataType::Utf8 => DataType::Utf8,
        types::DataType::Binary => DataType::Binary,
        types::DataType::DictionaryUtf8 => dictionary(),
        types::DataType::Decimal128(types::DecimalShape { precision, scale }) => {
            if !(1..=PRECISION_MAX).contains(&precision) || scale > precision {
                return Err(Clause::DecimalShape { part, name: field.name, precision, scale });
            }
            DataType::Decimal128(precision, scale.cast_signed())
        }
    };
    Ok(Arc::new(Field::new(field.name, data_type, field.nullable)))
}

/// The rules for the fields of one schema together.
pub(crate) fn check_fields(part: &'static str, fields: &[FieldRef]) -> Result<(), Clause> {
    if fields.len() > FIELDS_MAX {
        return Err(Clause::TooManyFields { part, max: FIELDS_MAX, found: fields.len() });
    }
    let mut names = HashSet::with_capacity(fields.len());
    for (field, name) in fields.iter().map(|field| field.name()).enumerate() {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Clause::FieldName { part, field, bytes: name.len() });
        }
        if !names.insert(name) {
            return Err(Clause::FieldTwice { part, name: name.clone() });
        }
    }
    Ok(())
}

/// The fields of a schema that the host gives; the error says which one cannot cross.
pub(crate) fn lower(schema: &Schema) -> Result<Vec<types::FieldParam<'_>>, String> {
    schema.fields().iter().map(|field| lower_field(field)).collect()
}

fn lower_field(field: &Field) -> Result<types::FieldParam<'_>, String> {
    let data_type = match field.data_type() {
        DataType::Boolean => types::DataType::Boolean,
        DataType::Int32 => types::DataType::S32,
        DataType::Int64 => types::DataType::S64,
        DataType::Float32 => types::DataType::F32,
        DataType::Float64 => types::DataType::F64,
        DataType::Date32 => types::DataType::Date32,
        DataType::Utf8 => types::DataType::Utf8,
        DataType::Binary => types::DataType::Binary,
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            types::DataType::Decimal128(types::DecimalShape {
                precision: *precision,
                scale: scale.cast_unsigned(),
            })
        }
        other if *other == timestamp() => types::DataType::TimestampUs,
        other if *other == dictionary() => types::DataType::DictionaryUtf8,
        other => {
            return Err(format!(
                "column {:?} is of type {other}, which the contract does not have",
                field.name()
            ));
        }
    };
    Ok(types::FieldParam { name: field.name(), data_type, nullable: field.is_nullable() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, data_type: types::DataType) -> types::FieldResult {
        types::FieldResult { name: name.to_owned(), data_type, nullable: true }
    }

    fn check(fields: Vec<types::FieldResult>, expected: Result<usize, Clause>) {
        let found = lift("output", types::SchemaResult { fields }).map(|schema| schema.fields().len());
        assert_eq!(found, expected);
    }

    fn decimal(precision: u8, scale: u8) -> types::DataType {
        types::DataType::Decimal128(types::DecimalShape { precision, scale })
    }

    #[test]
    fn field_names_are_1_to_255_bytes_and_unique() {
        let boolean = types::DataType::Boolean;
        check(vec![], Ok(0));
        check(vec![field("a", boolean), field("A", boolean)], Ok(2));
        check(vec![field(&"n".repeat(255), boolean)], Ok(1));
        check(vec![field("", boolean)], Err(Clause::FieldName { part: "output", field: 0, bytes: 0 }));
        check(
            vec![field("a", boolean), field(&"n".repeat(256), boolean)],
            Err(Clause::FieldName { part: "output", field: 1, bytes: 256 }),
        );
        check(
            vec![field("a", boolean), field("a", types::DataType::S32)],
            Err(Clause::FieldTwice { part: "output", name: "a".to_owned() }),
        );
    }

    #[test]
    fn a_schema_has_at_most_1024_fields() {
        let many = |count: usize| (0..count).map(|n| field(&n.to_string(), types::DataType::F64)).collect();
        check(many(1_024), Ok(1_024));
        check(many(1_025), Err(Clause::TooManyFields { part: "output", max: 1_024, found: 1_025 }));
    }

    #[test]
    fn a_decimals_precision_and_scale_are_bounded() {
        for (precision, scale, good) in [
            (1, 0, true),
            (38, 38, true),
            (10, 2, true),
            (0, 0, false),
            (39, 0, false),
            (5, 6, false),
            (38, 200, false),
        ] {
            let clause = Clause::DecimalShape { part: "output", name: "d".to_owned(), precision, scale };
            check(vec![field("d", decimal(precision, scale))], if good { Ok(1) } else { Err(clause) });
        }
    }

    #[test]
    fn every_type_of_the_contract_comes_back_as_it_went() {
        let all = [
            types::DataType::Boolean,
            types::DataType::S32,
            types::DataType::S64,
            types::DataType::F32,
            types::DataType::F64,
            types::DataType::Date32,
            types::DataType::TimestampUs,
            decimal(20, 4),
            types::DataType::Utf8,
            types::DataType::Binary,
            types::DataType::DictionaryUtf8,
        ];
        let fields = all.iter().enumerate().map(|(n, kind)| field(&n.to_string(), *kind)).collect();
        let schema = lift("output", types::SchemaResult { fields }).unwrap();
        let back = lower(&schema).unwrap();
        for (went, came) in all.iter().zip(&back) {
            assert_eq!(format!("{went:?}"), format!("{:?}", came.data_type));
        }
    }

    #[test]
    fn a_type_that_the_contract_does_not_have_is_named() {
        let schema = Schema::new(vec![Field::new("when", DataType::Date64, true)]);
        assert!(lower(&schema).unwrap_err().contains("column \"when\" is of type Date64"));
    }
}
