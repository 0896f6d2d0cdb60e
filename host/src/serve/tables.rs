//! What is asked of the job's tables by the paths of the API: which SQL that is, and how its rows are given on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::asked::{Asker, Rows};
use super::request::Request;
use crate::config::JobSpec;

const WINDOWS_MAX: u32 = 1_000;
const WINDOWS: u32 = 100;
const LETTERS_MAX: u32 = 200;
const LETTERS: u32 = 20;
const GROUPS_MAX: u32 = 1_000;
/// Of a letter's key and value, so much is shown.
const SHOWN_BYTES_MAX: usize = 16 << 10;
/// Columns that hold the bytes of a record.
const BYTES: [&str; 2] = ["key", "value"];

/// See the module.
pub struct Tables {
    asker: Asker,
    /// Each aggregate with the columns of its key.
    aggregates: Vec<(String, Vec<String>)>,
    /// Where dead letters go that do not go to files.
    letters_topic: Option<String>,
}

impl Tables {
    /// `hidden` is a variable that questions have no business with.
    pub fn new(spec: &JobSpec, hidden: &str) -> Self {
        let aggregates = spec.aggregates.iter().map(|of| (of.name.clone(), of.key.clone()));
        Self {
            asker: Asker::new(spec, hidden),
            aggregates: aggregates.collect(),
            letters_topic: spec.sides.dead_letters.clone(),
        }
    }

    /// `/api/aggregates/NAME/windows` and `…/groups`; `None` for other paths.
    pub fn of_aggregate(&self, request: &Request) -> Option<Answer> {
        let rest = request.path.strip_prefix("/api/aggregates/")?;
        let (name, what) = rest.split_once('/')?;
        // Names are of letters, digits, `_`, `-` and `.`, which nobody has to escape.
        let Some((name, keys)) = self.aggregates.iter().find(|(of, _)| of == name) else {
            let known: Vec<&str> = self.aggregates.iter().map(|(name, _)| name.as_str()).collect();
            let why = format!("there is no such aggregate; there are {}", known.join(", "));
            return ["windows", "groups"].contains(&what).then(|| Answer::error(404, &why));
        };
        let sql = match what {
            "windows" => windows_sql(name, keys, &request.query),
            "groups" => Ok(groups_sql(name, keys)),
            _ => return None,
        };
        Some(
            sql.map_or_else(|answer| answer, |sql| aggregate_answer(name, keys, what, self.asker.rows(&sql))),
        )
    }

    /// `/api/dead-letters`.
    pub fn dead_letters(&self, request: &Request) -> Answer {
        let limit = match number(&request.query, "limit", LETTERS, LETTERS_MAX) {
            Ok(limit) => limit,
            Err(answer) => return answer,
        };
        let sql = format!(
            "SELECT * FROM dead_letters ORDER BY epoch DESC, \"offset\" DESC, partition DESC LIMIT {limit}"
        );
        let letters = self.asker.rows(&sql).and_then(|rows| {
            rows.lines().map(letter).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string().into())
        });
        match letters {
            Ok(letters) => {
                Answer::json(200, &json!({ "topic": self.letters_topic, "dead_letters": letters }))
            }
            Err(why) => Answer::error(503, &why),
        }
    }
}

/// The rows are given on as they were written, to the last digit.
fn aggregate_answer(name: &str, keys: &[String], what: &str, rows: Rows) -> Answer {
    match rows {
        Ok(rows) => {
            let rows = rows.lines().collect::<Vec<_>>().join(",\n");
            Answer::made(format!(
                "{{\"aggregate\":{},\"key\":{},\"{what}\":[{rows}]}}\n",
                json!(name),
                json!(keys)
            ))
        }
        Err(why) => Answer::error(503, &why),
    }
}

/// The newest windows, or those of the groups that the query's `key` names, as a JSON object of columns and values.
fn windows_sql(name: &str, keys: &[String], query: &str) -> Result<String, Answer> {
    let limit = number(query, "limit", WINDOWS, WINDOWS_MAX)?;
    let mut only = String::new();
    if let Some(key) = parameter(query, "key") {
        let key: Map<String, Value> = serde_json::from_str(&key).map_err(|_| {
            Answer::error(
                400,
                "`key` is a JSON object of the key's columns, such as {\"symbol\":\"BTCUSDT\"}",
            )
        })?;
        let conditions = key.iter().map(|(column, value)| condition(keys, column, value));
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        if !conditions.is_empty() {
            only = format!(" WHERE {}", conditions.join(" AND "));
        }
    }
    let (open, closed) = (quoted(&format!("{name}_open_live")), quoted(&format!("{name}_closed")));
    let order = keys.iter().map(|key| format!(", {}", quoted(key))).collect::<String>();
    Ok(format!(
        "SELECT *, 'open' AS window_state FROM {open}{only} UNION ALL \
         SELECT *, false AS uncommitted, 'closed' AS window_state FROM {closed}{only} \
         ORDER BY window_start DESC{order} LIMIT {limit}"
    ))
}

fn condition(keys: &[String], column: &str, value: &Value) -> Result<String, Answer> {
    if !keys.iter().any(|key| key == column) {
        return Err(Answer::error(400, &format!("`key` has a column that is none of {}", keys.join(", "))));
    }
    let column = quoted(column);
    match value {
        Value::Null => Ok(format!("{column} IS NULL")),
        Value::String(text) => Ok(format!("{column} = '{}'", text.replace('\'', "''"))),
        Value::Number(_) | Value::Bool(_) => Ok(format!("{column} = {value}")),
        _ => Err(Answer::error(400, "a value of `key` is a text, a number, true, false or null")),
    }
}

/// The groups with their newest window, those with the newest first.
fn groups_sql(name: &str, keys: &[String]) -> String {
    let live = quoted(&format!("{name}_live"));
    let columns = keys.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {columns}, max(window_start) AS newest_window FROM {live} GROUP BY {columns} \
         ORDER BY newest_window DESC, {columns} LIMIT {GROUPS_MAX}"
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A parameter of a query.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(of, _)| of == name).map(|(_, value)| value.into_owned())
}

fn number(query: &str, name: &str, default: u32, max: u32) -> Result<u32, Answer> {
    let Some(text) = parameter(query, name) else { return Ok(default) };
    let found = text.parse().ok().filter(|number| (1..=max).contains(number));
    found.ok_or_else(|| Answer::error(400, &format!("`{name}` is a number from 1 to {max}")))
}

/// A letter with its bytes in base64.
fn letter(row: &str) -> anyhow::Result<Value> {
    let mut letter: Map<String, Value> = serde_json::from_str(row)?;
    for name in BYTES {
        let bytes = letter.remove(name).as_ref().and_then(Value::as_str).map(of_hex).transpose()?;
        let shown = bytes.as_deref().map(|bytes| STANDARD.encode(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]));
        letter.insert(format!("{name}_base64"), shown.into());
        letter.insert(format!("{name}_bytes"), bytes.map(|bytes| bytes.len()).into());
    }
    Ok(letter.into())
}

/// As `host query` writes bytes.
fn of_hex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match *pair {
        [high, low] => Some((digit(high)? * 16 + digit(low)?) as u8),
        _ => None,
    };
    pairs.map(byte).collect::<Option<_>>().ok_or_else(|| anyhow::anyhow!("a letter's bytes cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<String> {
        vec!["symbol".to_owned(), "a\"b".to_owned()]
    }

    fn check(query: &str, expected: Result<&str, &str>) {
        let found = windows_sql("da\"ily", &keys(), query);
        match (found, expected) {
            (Ok(sql), Ok(part)) => assert!(sql.contains(part), "{query}: {sql}"),
            (Err(answer), Err(says)) => {
                assert!(answer.status == 400 && answer.body.contains(says), "{query}: {answer:?}");
            }
            (found, _) => panic!("{query}: {found:?}"),
        }
    }

    #[test]
    fn names_and_keys_are_quoted_whatever_is_in_them() {
        check("", Ok("FROM \"da\"\"ily_open_live\" UNION"));
        check("", Ok("ORDER BY window_start DESC, \"symbol\", \"a\"\"b\" LIMIT 100"));
        check("limit=7&key={}", Ok("_closed\" ORDER BY window_start DESC, \"symbol\", \"a\"\"b\" LIMIT 7"));
        check("key=%7B%22symbol%22%3A%22B'C%22%7D", Ok("_closed\" WHERE \"symbol\" = 'B''C' ORDER"));
        check("key={\"symbol\":null,\"a\\\"b\":5}", Ok("WHERE \"symbol\" IS NULL AND \"a\"\"b\" = 5 "));
        check("key={\"other\":1}", Err("none of symbol"));
        check("key={\"symbol\":[1]}", Err("a text, a number"));
        check("key=BTCUSDT", Err("a JSON object"));
        for wrong in ["0", "1001", "-1", "", "ten"] {
            check(&format!("limit={wrong}"), Err("a number from 1 to 1000"));
        }
        assert!(groups_sql("daily", &keys()).contains("GROUP BY \"symbol\", \"a\"\"b\" "));
    }

    #[test]
    fn a_letter_has_its_bytes_in_base64_up_to_a_limit() {
        let shown = letter("{\"offset\":7,\"key\":null,\"value\":\"003cff\"}").unwrap();
        assert_eq!(
            (&shown["offset"], &shown["key_base64"], &shown["key_bytes"]),
            (&json!(7), &json!(null), &json!(null))
        );
        assert_eq!((&shown["value_base64"], &shown["value_bytes"]), (&json!("ADz/"), &json!(3)));
        let long = letter(&format!("{{\"value\":\"{}\"}}", "61".repeat(SHOWN_BYTES_MAX + 5))).unwrap();
        assert_eq!(long["value_bytes"], SHOWN_BYTES_MAX + 5);
        assert_eq!(long["value_base64"].as_str().map(str::len), Some(SHOWN_BYTES_MAX.div_ceil(3) * 4));
        for wrong in ["0", "xx"] {
            assert!(letter(&format!("{{\"value\":\"{wrong}\"}}")).is_err());
        }
    }
}
