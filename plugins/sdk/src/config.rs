//! Reads a plugin's configuration: one JSON object.
//!
//! Every setting that a plugin asks for becomes known; one in the object that nobody asked
//! for is refused, with the nearest known name. Nothing is read from anywhere else.

use serde_json::{Map, Value};

use crate::types::Refusal;

/// The settings that were given, and the names that were asked for.
#[derive(Debug)]
pub struct Config {
    settings: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Config {
    /// # Errors
    /// `bad-config` when `text` is not a JSON object.
    pub fn read(text: &str) -> Result<Config, Refusal> {
        match serde_json::from_str(text) {
            Ok(Value::Object(settings)) => Ok(Config { settings, known: vec![] }),
            Ok(_) => Err(refusal("the configuration is not a JSON object")),
            Err(error) => Err(refusal(format!("the configuration is not JSON: {error}"))),
        }
    }

    /// A setting as it was given; none when it was not.
    pub fn value(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.settings.remove(name)
    }

    /// A setting of text.
    ///
    /// # Errors
    /// `bad-config` when it is not a string.
    pub fn text(&mut self, name: &'static str, default: &str) -> Result<String, Refusal> {
        match self.value(name) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(unfit(name, "a string", &other)),
        }
    }

    /// A setting that is a number.
    ///
    /// # Errors
    /// `bad-config` when it is not.
    pub fn number(&mut self, name: &'static str, default: f64) -> Result<f64, Refusal> {
        match self.value(name) {
            None => Ok(default),
            Some(other) => other.as_f64().ok_or_else(|| unfit(name, "a number", &other)),
        }
    }

    /// A setting that is true or false.
    ///
    /// # Errors
    /// `bad-config` when it is not.
    pub fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, Refusal> {
        match self.value(name) {
            None => Ok(default),
            Some(other) => other.as_bool().ok_or_else(|| unfit(name, "true or false", &other)),
        }
    }

    /// Refuses a setting that nobody asked for. The export macros call it after the plugin
    /// has read its own.
    ///
    /// # Errors
    /// `bad-config` with the setting's name and the nearest known one.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.settings.keys().next() {
            None => Ok(()),
            Some(unknown) => {
                Err(refusal(format!("unknown setting {unknown:?}{}", advice(unknown, &self.known))))
            }
        }
    }
}

/// A refusal of the configuration.
pub fn refusal(message: impl Into<String>) -> Refusal {
    Refusal::BadConfig(message.into())
}

/// A refusal of one setting that is not what it should be.
pub fn unfit(name: &str, expected: &str, found: &Value) -> Refusal {
    let found = found.to_string();
    let found = crate::rejects::cut(&found, 100);
    refusal(format!("the setting {name:?} has to be {expected}, not {found}"))
}

/// What to say after an unknown name: the nearest known one, or all of them.
pub fn advice(unknown: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|name| distance(unknown, name));
    match nearest {
        None => "; there are no settings".into(),
        Some(name) if distance(unknown, name) <= 1 + name.len() / 3 => format!("; did you mean {name:?}?"),
        Some(_) => format!("; known are: {}", known.join(", ")),
    }
}

/// How many characters have to be put in, left out or exchanged between two names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.chars().enumerate() {
            let exchanged = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = || {
            let mut config = Config::read(text)?;
            let prefix = config.text("prefix", "daily")?;
            config.number("weight", 1.0)?;
            config.finish()?;
            Ok(prefix)
        };
        let expected = expected.map(str::to_owned).map_err(|message| Refusal::BadConfig(message.to_owned()));
        assert_eq!(read(), expected, "{text}");
    }

    #[test]
    fn settings_are_read_or_refused_by_name() {
        check("{}", Ok("daily"));
        check(r#"{"prefix":"hourly"}"#, Ok("hourly"));
        check(r#"{"prefix":7}"#, Err("the setting \"prefix\" has to be a string, not 7"));
        check(r#"{"weight":"x"}"#, Err("the setting \"weight\" has to be a number, not \"x\""));
        check(r#"{"prefx":"x"}"#, Err("unknown setting \"prefx\"; did you mean \"prefix\"?"));
        check(r#"{"zzzzzzzzz":1}"#, Err("unknown setting \"zzzzzzzzz\"; known are: prefix, weight"));
        check("[]", Err("the configuration is not a JSON object"));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert!(matches!(Config::read("{").map(|_| ()), Err(Refusal::BadConfig(_))));
    }
}
