//! The tables that a query names, before there is any.

use datafusion::sql::parser::DFParser;
use datafusion::sql::resolve::resolve_table_references;

/// The names of the tables in a text, without their schemas; none in one that is no SQL.
pub fn named_tables(sql: &str) -> Vec<String> {
    let statements = DFParser::parse_sql(sql).unwrap_or_default();
    let resolved = statements.iter().filter_map(|statement| resolve_table_references(statement, true).ok());
    resolved.flat_map(|(tables, _)| tables).map(|table| table.table().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_wherever_a_query_names_them() {
        let check = |sql: &str, expected: &[&str]| assert_eq!(named_tables(sql), expected, "{sql}");
        check("SELECT * FROM daily_live", &["daily_live"]);
        check(
            "SELECT * FROM (SELECT * FROM a) x JOIN \"b-c\" USING (k) WHERE k IN (SELECT k FROM d)",
            &["a", "b-c", "d"],
        );
        check("WITH a AS (SELECT * FROM b) SELECT * FROM a", &["b"]);
        check("SELECT", &[]);
    }
}
