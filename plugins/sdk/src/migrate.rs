//! States that another version wrote, in the present version's columns.
//!
//! Columns are found by name, so their order may differ. Whatever is not exactly what the
//! plugin declares of that version is refused, with version, column and both types; so it
//! makes no difference whether there is a row in the states.

use crate::repeat::{has_rows, is_of, repeat};
use crate::schema::{position, type_name};
use crate::types::{Batch, Column, Failure, Field, Refusal, Schema};
use crate::undo::{Move, Step};
use crate::widen::widened;

/// The present state, and the ways to it from older ones.
pub(crate) struct Migration<'a> {
    pub version: u32,
    pub present: &'a Schema,
    /// The steps to the present version, oldest first.
    pub steps: Vec<Step<'a>>,
}

impl Migration<'_> {
    /// The contract's `migrate`.
    ///
    /// # Errors
    /// `bad-input` for a version that cannot be read, for columns that the version did not
    /// have, and whatever a function of the plugin does not take.
    pub fn migrate(&self, from_version: u32, from: &Schema, states: Batch) -> Result<Batch, Refusal> {
        let steps = self.steps_from(from_version).map_err(Refusal::BadInput)?;
        let expected = steps.first().map_or(self.present, |step| &step.before);
        let differences = differences(expected, from);
        if !differences.is_empty() {
            return Err(Refusal::BadInput(format!(
                "the states are of version {from_version}, but not as this plugin knows that version: {}",
                differences.join("; ")
            )));
        }
        let mut walk = Walk::of(from, states);
        steps.iter().try_for_each(|step| walk.take(step)).map_err(Refusal::BadInput)?;
        let rows = walk.rows;
        Ok(Batch { rows, columns: walk.assemble(self.present).map_err(Refusal::BadInput)? })
    }

    /// None from the present version.
    fn steps_from(&self, from_version: u32) -> Result<&[Step<'_>], String> {
        let present = self.version;
        if from_version > present {
            return Err(format!(
                "the states are of version {from_version}, made by a later version of this plugin, which \
                 keeps version {present}: a downgrade"
            ));
        }
        let way = (present - from_version) as usize;
        if way <= self.steps.len() {
            return Ok(&self.steps[self.steps.len() - way..]);
        }
        let oldest = present - self.steps.len() as u32;
        let reads = match oldest == present {
            true => format!("version {present} alone"),
            false => format!("versions {oldest} to {present}"),
        };
        Err(format!(
            "the states are of version {from_version}, and this plugin reads {reads}: it does not say what \
             version {oldest} changed"
        ))
    }
}

/// What distinguishes the columns that were found from those that were expected.
fn differences(expected: &Schema, found: &Schema) -> Vec<String> {
    let kind = |field: &Field| {
        format!("{}{}", if field.nullable { "nullable " } else { "" }, type_name(field.data_type))
    };
    let of_expected = expected.fields.iter().filter_map(|field| match position(found, &field.name) {
        None => Some(format!("the column {:?} ({}) is missing", field.name, kind(field))),
        Some(place) if kind(&found.fields[place]) != kind(field) => Some(format!(
            "the column {:?} is {} and should be {}",
            field.name,
            kind(&found.fields[place]),
            kind(field)
        )),
        Some(_) => None,
    });
    let unexpected = found.fields.iter().filter(|field| position(expected, &field.name).is_none());
    let unexpected =
        unexpected.map(|field| format!("there is a column {:?} ({}) too many", field.name, kind(field)));
    of_expected.chain(unexpected).collect()
}

/// States on their way.
struct Walk<'a> {
    rows: u32,
    columns: Vec<(String, Column)>,
    /// Of the columns that the states lack, by their newest names.
    defaults: Vec<(&'a str, &'a Column)>,
}

impl<'a> Walk<'a> {
    fn of(schema: &Schema, states: Batch) -> Self {
        let names = schema.fields.iter().map(|field| field.name.clone());
        Walk { rows: states.rows, columns: names.zip(states.columns).collect(), defaults: vec![] }
    }

    fn take(&mut self, step: &'a Step<'a>) -> Result<(), String> {
        step.moves.iter().try_for_each(|one| self.make(one, step))
    }

    fn make(&mut self, one: &'a Move<'a>, step: &Step<'_>) -> Result<(), String> {
        match one {
            Move::Rename { from, to } => {
                if let Some(place) = self.place(from) {
                    self.columns[place].0.clone_from(to);
                }
            }
            Move::Widen { column, to } => {
                if let Some(place) = self.place(column) {
                    let (name, Column { validity, data }) = self.columns.swap_remove(place);
                    self.columns.push((name, Column { validity, data: widened(data, *to) }));
                }
            }
            Move::Remove { column } => self.columns.retain(|(name, _)| name != column),
            Move::Default { column, default } => self.defaults.push((column, default)),
            Move::Convert { after, convert } => {
                let rows = self.rows;
                let before = Batch { rows, columns: self.assemble(&step.before)? };
                let columns = convert(&before).map_err(|failure| told(step.version, failure))?;
                check_converted(step.version, after, rows as usize, &columns)?;
                *self = Walk::of(after, Batch { rows, columns });
            }
        }
        Ok(())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(known, _)| known == name)
    }

    /// The columns of a schema, in its order; what is not there has its default.
    fn assemble(&mut self, schema: &Schema) -> Result<Vec<Column>, String> {
        let rows = self.rows as usize;
        let column = |Field { name, .. }: &Field| match self.place(name) {
            Some(place) => Ok(self.columns.swap_remove(place).1),
            None => {
                let default = self.defaults.iter().find(|(known, _)| known == name);
                let default = default.ok_or_else(|| format!("the column {name:?} has no default"))?;
                Ok(repeat(default.1, rows))
            }
        };
        schema.fields.iter().map(column).collect()
    }
}

fn told(version: u32, failure: Failure) -> String {
    let (Failure::RetryBatch(message) | Failure::StopJob(message)) = failure;
    format!("the plugin's function for version {version} does not take them: {message}")
}

fn check_converted(version: u32, after: &Schema, rows: usize, columns: &[Column]) -> Result<(), String> {
    let fits = after.fields.iter().zip(columns);
    let fits =
        fits.map(|(field, column)| is_of(&column.data, field.data_type) && has_rows(&column.data, rows));
    if after.fields.len() == columns.len() && fits.min().unwrap_or(true) {
        return Ok(());
    }
    Err(format!(
        "the plugin's function for version {version} did not give {rows} rows of that version's columns; \
         report it to the plugin's author"
    ))
}
