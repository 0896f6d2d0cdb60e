//! What is wrong with a query that has no plan: its place in the text, and the nearest name
//! to one that is not there.

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;

use crate::{Place, QueryError};

/// How near a name has to be to be proposed, as Jaro and Winkler have it.
const NEAR_ENOUGH: f64 = 0.7;

/// How the engine says that a plan does more than the options allow.
const NOT_ALLOWED: &str = "not supported: ";

/// Names that are told where none is near.
const NAMES_MAX: usize = 30;

pub fn refused(context: &SessionContext, sql: &str, error: DataFusionError) -> QueryError {
    let place = place_of(&error);
    match error.find_root() {
        DataFusionError::SchemaError(cause, _) => match cause.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => unknown_column(field, valid_fields, place),
            other => QueryError::Refused { problem: other.to_string(), place },
        },
        DataFusionError::SQL(cause, _) => syntax(&cause.to_string(), sql),
        root => {
            let message = root.strip_backtrace();
            if message.contains(NOT_ALLOWED) {
                return not_reading(&message);
            }
            match unknown_table(context, sql) {
                Some((name, instead)) => QueryError::Unknown { what: "table", name, instead, place },
                None => QueryError::Refused { problem: plain(&message), place },
            }
        }
    }
}

fn place_of(error: &DataFusionError) -> Option<Place> {
    let start = error.diagnostic()?.span?.start;
    Some(Place { line: start.line, column: start.column })
}

/// The engine's words without the name of its error's kind, in one line.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Error during planning: ").unwrap_or(message);
    message.lines().take(2).collect::<Vec<_>>().join(" ")
}

/// The parser tells the place at the end of its message, but for the end of the text.
fn syntax(message: &str, sql: &str) -> QueryError {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    let told = message.rsplit_once(" at Line: ").and_then(|(problem, at)| {
        let (line, column) = at.split_once(", Column: ")?;
        Some((problem, Place { line: line.parse().ok()?, column: column.parse().ok()? }))
    });
    match told {
        Some((problem, place)) => QueryError::Refused { problem: problem.to_owned(), place: Some(place) },
        None => QueryError::Refused { problem: message.to_owned(), place: Some(end_of(sql)) },
    }
}

fn end_of(sql: &str) -> Place {
    let line = sql.lines().count().max(1) as u64;
    let column = sql.lines().last().map_or(0, |last| last.chars().count()) as u64 + 1;
    Place { line, column }
}

fn not_reading(message: &str) -> QueryError {
    let what = message.rsplit_once(NOT_ALLOWED).map_or(message, |(_, what)| what);
    QueryError::NotReading { what: what.to_owned() }
}

fn unknown_column(field: &Column, there: &[Column], place: Option<Place>) -> QueryError {
    let names: Vec<&str> = there.iter().map(Column::name).collect();
    let instead = instead(field.name(), &names, "columns");
    QueryError::Unknown { what: "column", name: field.name().to_owned(), instead, place }
}

/// The first table of the query that is not there.
fn unknown_table(context: &SessionContext, sql: &str) -> Option<(String, String)> {
    let state = context.state();
    let statement = state.sql_to_statement(sql, &state.config().options().sql_parser.dialect).ok()?;
    let named = state.resolve_table_references(&statement).ok()?;
    let missing = named.iter().find(|name| !context.table_exist((*name).clone()).unwrap_or(true))?;
    let catalog = context.catalog(&state.config().options().catalog.default_catalog)?;
    let mut tables = catalog.schema(&state.config().options().catalog.default_schema)?.table_names();
    tables.sort_unstable();
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    Some((missing.table().to_owned(), instead(missing.table(), &names, "tables")))
}

fn instead(wanted: &str, there: &[&str], what: &str) -> String {
    let nearness = |name: &str| strsim::jaro_winkler(&wanted.to_lowercase(), &name.to_lowercase());
    let nearest = there.iter().map(|name| (nearness(name), *name)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((near, name)) if near >= NEAR_ENOUGH => format!("did you mean `{name}`?"),
        _ => {
            let more = if there.len() > NAMES_MAX { ", ..." } else { "" };
            let names = there.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
            format!("the {what} are {names}{more}")
        }
    }
}
