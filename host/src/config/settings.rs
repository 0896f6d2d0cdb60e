//! A plugin's settings as the pipeline file has them, made JSON, which is what plugins are given. TOML has two
//! kinds of value that JSON lacks: a time becomes its text, an infinite number is refused. What the settings mean
//! is the plugin's business.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

/// How the TOML reader hands a time to whoever reads it as something else.
const TIME: &str = "$__toml_private_datetime";

/// The settings of one stage.
///
/// # Errors
/// They are no table, or one of them, which is named, is infinite or no number.
pub fn of_toml<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let mut settings = Map::deserialize(deserializer)?;
    if time(&settings).is_some() {
        return Err(D::Error::custom("a plugin's settings are a table, and this is a time"));
    }
    for (key, value) in &mut settings {
        let wrong = "`inf` and `nan` are nothing that a plugin can be given; give a finite number, or a text";
        plain(value).map_err(|NotFinite| D::Error::custom(format!("in the setting `{key}`: {wrong}")))?;
    }
    Ok(settings)
}

/// JSON has no such numbers: they have become null, which nothing else in TOML does.
struct NotFinite;

fn plain(value: &mut Value) -> Result<(), NotFinite> {
    match value {
        Value::Null => Err(NotFinite),
        Value::Array(list) => list.iter_mut().try_for_each(plain),
        Value::Object(entries) => match time(entries) {
            Some(time) => {
                *value = Value::String(time);
                Ok(())
            }
            None => entries.values_mut().try_for_each(plain),
        },
        _ => Ok(()),
    }
}

fn time(entries: &Map<String, Value>) -> Option<String> {
    let text = entries.get(TIME).filter(|_| entries.len() == 1)?;
    text.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Stage {
        #[serde(deserialize_with = "of_toml")]
        config: Map<String, Value>,
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = toml::from_str::<Stage>(text).map(|stage| Value::Object(stage.config).to_string());
        match (read, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(error), Err(expected)) => assert!(error.message().contains(expected), "{text}: {error}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn a_time_becomes_its_text() {
        check("config = { at = 2026-01-31T00:00:00Z }", Ok(r#"{"at":"2026-01-31T00:00:00Z"}"#));
        check(
            "config = { days = [2026-01-31, { at = 07:32:00 }] }",
            Ok(r#"{"days":["2026-01-31",{"at":"07:32:00"}]}"#),
        );
        check("config = { n = [1, 2.5, true, 'x'], t = {} }", Ok(r#"{"n":[1,2.5,true,"x"],"t":{}}"#));
        check("config = 2026-01-31", Err("a table"));
    }

    #[test]
    fn a_number_that_json_lacks_is_refused_by_its_key() {
        for text in [
            "config = { limit = inf }",
            "config = { limit = [1.5, -nan] }",
            "config = { limit = { a = -inf } }",
        ] {
            check(text, Err("in the setting `limit`"));
        }
    }
}
