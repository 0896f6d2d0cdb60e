//! What another plugin in a running stage would change, told from the schemas of both.
//! Decides over values; asks no plugin.

use arrow_schema::{Field, Schema};

/// One column that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnChange {
    Added {
        name: String,
        now: String,
    },
    Removed {
        name: String,
        was: String,
    },
    Other {
        name: String,
        was: String,
        now: String,
    },
    /// The same column at another place.
    Moved {
        name: String,
    },
}

impl std::fmt::Display for ColumnChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added { name, now } => write!(f, "`{name}` is new ({now})"),
            Self::Removed { name, was } => write!(f, "`{name}` is gone (it was {was})"),
            Self::Other { name, was, now } => write!(f, "`{name}` was {was} and is {now}"),
            Self::Moved { name } => write!(f, "`{name}` is at another place"),
        }
    }
}

/// Every column that differs, in the order of the new schema, removed ones last.
pub fn column_changes(was: &Schema, now: &Schema) -> Vec<ColumnChange> {
    let mut changes = Vec::new();
    for (place, field) in now.fields().iter().enumerate() {
        changes.extend(change_of(was, place, field));
    }
    let is_gone = |field: &&std::sync::Arc<Field>| now.index_of(field.name()).is_err();
    let removed = |field: &std::sync::Arc<Field>| ColumnChange::Removed {
        name: field.name().clone(),
        was: type_of(field),
    };
    changes.extend(was.fields().iter().filter(is_gone).map(removed));
    changes
}

fn change_of(was: &Schema, place: usize, field: &Field) -> Option<ColumnChange> {
    let (name, now) = (field.name().clone(), type_of(field));
    let Ok(before) = was.index_of(&name) else { return Some(ColumnChange::Added { name, now }) };
    let was = type_of(was.field(before));
    if was != now {
        return Some(ColumnChange::Other { name, was, now });
    }
    (before != place).then_some(ColumnChange::Moved { name })
}

fn type_of(field: &Field) -> String {
    let nullable = if field.is_nullable() { ", nullable" } else { "" };
    format!("{}{nullable}", field.data_type())
}

/// The changes of an output that its readers cannot bear: files of both forms lie in one
/// folder, so only nullable columns at the end may be new.
pub fn unbearable_for_readers(was: &Schema, now: &Schema) -> Vec<ColumnChange> {
    let kept = was.fields().len();
    let is_appended = |change: &ColumnChange| match change {
        ColumnChange::Added { name, .. } => {
            now.column_with_name(name).is_some_and(|(place, field)| place >= kept && field.is_nullable())
        }
        _ => false,
    };
    column_changes(was, now).into_iter().filter(|change| !is_appended(change)).collect()
}

/// One sentence of several changes.
pub fn list(changes: &[ColumnChange]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::DataType;

    fn schema(fields: &[(&str, DataType, bool)]) -> Schema {
        Schema::new(
            fields
                .iter()
                .map(|(name, of, nullable)| Field::new(*name, of.clone(), *nullable))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn every_column_that_differs_is_named_with_both_types() {
        let was = schema(&[
            ("a", DataType::Int64, false),
            ("b", DataType::Int64, false),
            ("c", DataType::Utf8, true),
        ]);
        let now = schema(&[
            ("b", DataType::Int64, false),
            ("a", DataType::Int64, true),
            ("d", DataType::Utf8, true),
        ]);
        let said = list(&column_changes(&was, &now));
        let expected = "`b` is at another place, `a` was Int64 and is Int64, nullable, `d` is new (Utf8, nullable), \
                        `c` is gone (it was Utf8, nullable)";
        assert_eq!(said, expected);
        assert_eq!(column_changes(&was, &was), []);
    }

    #[test]
    fn readers_bear_nullable_columns_at_the_end_and_nothing_else() {
        let was = [("a", DataType::Int64, false)];
        let check = |now: &[(&str, DataType, bool)], bearable: bool| {
            assert_eq!(unbearable_for_readers(&schema(&was), &schema(now)).is_empty(), bearable, "{now:?}");
        };
        let a = was[0].clone();
        check(&was, true);
        check(&[a.clone(), ("b", DataType::Int64, true)], true);
        check(&[a.clone(), ("b", DataType::Int64, false)], false);
        check(&[("b", DataType::Int64, true), a.clone()], false);
        check(&[("a", DataType::Float64, false)], false);
        check(&[("a", DataType::Int64, true)], false);
        check(&[], false);
    }
}
