//! From the present state back through the declared changes: the columns of every older
//! version that can be read, and what has to be done with them, column by column.
//!
//! Moves no data; whatever does not fit the columns is told in a sentence.

use crate::columns::bit;
use crate::history::{Change, Convert, History};
use crate::repeat::{has_rows, is_of};
use crate::schema::type_name;
use crate::types::{Column, DataType, Field, Schema};
use crate::widen::widens;

/// What has to be done with one column; one that is not there, being added later, is passed over.
pub(crate) enum Move<'a> {
    Rename {
        from: String,
        to: String,
    },
    Widen {
        column: String,
        to: DataType,
    },
    Remove {
        column: String,
    },
    /// A column that older states lack, by its newest name.
    Default {
        column: &'a str,
        default: &'a Column,
    },
    /// All columns at once, into `after`.
    Convert {
        after: Schema,
        convert: &'a Convert,
    },
}

/// The way from one version to the next.
pub(crate) struct Step<'a> {
    /// The version that it leads to.
    pub version: u32,
    /// The columns of the version before it.
    pub before: Schema,
    /// In the order in which they are to be made.
    pub moves: Vec<Move<'a>>,
}

/// The steps to the present version, the first of them from the oldest version that can be read.
pub(crate) fn undo<'a>(
    history: &'a History,
    version: u32,
    present: &Schema,
    accumulators: &[String],
) -> Result<Vec<Step<'a>>, String> {
    if let Some(first @ 0..=1) = history.first() {
        return Err(format!("since({first}): there is no version before 1 that could have changed"));
    }
    let mut columns = Columns::of(present, accumulators);
    let mut steps = Vec::new();
    for version in (2..=version).rev() {
        let Some(changes) = history.of(version) else { break };
        let alone = changes.len() == 1;
        let mut moves = Vec::with_capacity(changes.len());
        for change in changes.iter().rev() {
            let undone = columns.undo(change, alone);
            moves.extend(undone.map_err(|why| format!("since({version}).{change}: {why}"))?);
        }
        moves.reverse();
        steps.push(Step { version, before: columns.schema(), moves });
    }
    steps.reverse();
    Ok(steps)
}

/// A column on the way back.
struct Tracked {
    /// As it is in the newest version before the next function.
    newest: Field,
    /// The name of its accumulator and what follows it; the whole name and nothing where nobody knows.
    accumulator: String,
    suffix: String,
    data_type: DataType,
}

impl Tracked {
    fn of(field: &Field, accumulator: &str) -> Self {
        let suffix = field.name.strip_prefix(accumulator).unwrap_or_default().to_owned();
        Tracked {
            newest: field.clone(),
            accumulator: accumulator.to_owned(),
            suffix,
            data_type: field.data_type,
        }
    }

    fn name(&self) -> String {
        format!("{}{}", self.accumulator, self.suffix)
    }

    fn field(&self) -> Field {
        Field { name: self.name(), data_type: self.data_type, nullable: self.newest.nullable }
    }
}

/// The columns of the version that the way back has come to.
struct Columns(Vec<Tracked>);

impl Columns {
    fn of(schema: &Schema, accumulators: &[String]) -> Self {
        Columns(
            schema.fields.iter().zip(accumulators).map(|(field, name)| Tracked::of(field, name)).collect(),
        )
    }

    fn without_accumulators(schema: &Schema) -> Self {
        Columns(schema.fields.iter().map(|field| Tracked::of(field, &field.name)).collect())
    }

    fn schema(&self) -> Schema {
        Schema { fields: self.0.iter().map(Tracked::field).collect() }
    }

    fn undo<'a>(&mut self, change: &'a Change, alone: bool) -> Result<Vec<Move<'a>>, String> {
        match change {
            Change::Added { column, default } => {
                self.undo_add(column, default)?;
                Ok(vec![Move::Default { column, default }])
            }
            Change::Renamed { from, to } => self.undo_rename(from, to),
            Change::Widened { column, from, to } => {
                self.undo_widen(column, *from, *to)?;
                Ok(vec![Move::Widen { column: column.clone(), to: *to }])
            }
            Change::Removed { field } => {
                self.refuse_known(&field.name)?;
                self.0.push(Tracked::of(field, &field.name));
                Ok(vec![Move::Remove { column: field.name.clone() }])
            }
            Change::Converted { before, convert } if alone => {
                let after = self.schema();
                *self = Columns::without_accumulators(before);
                Ok(vec![Move::Convert { after, convert }])
            }
            Change::Converted { .. } => {
                Err("a function makes all of its version, and more is declared of this one".into())
            }
        }
    }

    fn undo_add(&mut self, column: &str, default: &Column) -> Result<(), String> {
        let place = self.0.iter().position(|known| known.newest.name == column);
        let place = place.ok_or_else(|| self.unknown(column))?;
        let newest = &self.0[place].newest;
        let expected = type_name(newest.data_type);
        if !is_of(&default.data, newest.data_type) || !has_rows(&default.data, 1) {
            return Err(format!("its default is not one value of {expected}, as the column is"));
        }
        if !newest.nullable && default.validity.as_ref().is_some_and(|validity| !bit(validity, 0)) {
            return Err(format!("its default is null, and the column is {expected} without nulls"));
        }
        self.0.remove(place);
        Ok(())
    }

    fn undo_rename<'a>(&mut self, from: &str, to: &str) -> Result<Vec<Move<'a>>, String> {
        let names = |columns: &Self| columns.0.iter().map(Tracked::name).collect::<Vec<_>>();
        let after = names(self);
        let of_accumulator = self.0.iter_mut().filter(|known| known.accumulator == to);
        if of_accumulator.map(|known| known.accumulator = from.to_owned()).count() == 0 {
            let place = after.iter().position(|name| name == to).ok_or_else(|| self.unknown(to))?;
            self.0[place].accumulator = from.to_owned();
            self.0[place].suffix.clear();
        }
        let before = names(self);
        if let Some(twice) = before.iter().enumerate().find(|(at, name)| before[..*at].contains(name)) {
            return Err(format!("then the version before had two columns {:?}", twice.1));
        }
        let renamed = before.into_iter().zip(after).filter(|(from, to)| from != to);
        Ok(renamed.map(|(from, to)| Move::Rename { from, to }).collect())
    }

    fn undo_widen(&mut self, column: &str, from: DataType, to: DataType) -> Result<(), String> {
        let place = self.0.iter().position(|known| known.name() == column);
        let place = place.ok_or_else(|| self.unknown(column))?;
        let known = &mut self.0[place];
        if known.data_type != to {
            return Err(format!("the column is {} in this version", type_name(known.data_type)));
        }
        if !widens(from, to) {
            return Err("not every value of the first type is one of the second; use a function".into());
        }
        known.data_type = from;
        Ok(())
    }

    fn refuse_known(&self, column: &str) -> Result<(), String> {
        let known = self.0.iter().any(|known| known.name() == column);
        if known { Err("this version has a column of that name".into()) } else { Ok(()) }
    }

    fn unknown(&self, column: &str) -> String {
        let names: Vec<String> = self.0.iter().map(Tracked::name).collect();
        format!("this version has no {column:?}; it has: {}", names.join(", "))
    }
}
