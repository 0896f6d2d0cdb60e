//! librdkafka properties as people write them: plain text, numbers or booleans,
//! and `${NAME}` for a value that comes from the environment (a secret, so that
//! neither a file nor a process list shows it).

use std::collections::BTreeMap;

use toml::Value;

use super::ConfigError;

/// The text of a property's value.
///
/// # Errors
/// A sentence, when the value is of another type or its variable is not set.
pub fn property_text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => from_environment(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        _ => Err("a librdkafka property is a string, a number or a boolean".into()),
    }
}

/// `${NAME}` replaced by the environment's value; any other text as it is.
///
/// # Errors
/// A sentence that names the variable, when it is not set.
pub fn from_environment(text: &str) -> Result<String, String> {
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => std::env::var(name)
            .map_err(|_| format!("the environment variable {name} is not set; export it before the start")),
        None => Ok(text.to_owned()),
    }
}

/// Properties from flags of the form KEY=VALUE.
///
/// # Errors
/// A pair without `=`, or a variable that is not set.
pub fn properties_of(pairs: &[String]) -> Result<BTreeMap<String, String>, ConfigError> {
    pairs
        .iter()
        .map(|pair| {
            let (key, value) = split_pair("--kafka", pair)?;
            let value = from_environment(value).map_err(|problem| ConfigError::invalid(key, problem))?;
            Ok((key.to_owned(), value))
        })
        .collect()
}

/// The halves of KEY=VALUE.
pub fn split_pair<'a>(flag: &str, pair: &'a str) -> Result<(&'a str, &'a str), ConfigError> {
    let problem = || ConfigError::invalid(flag, "expects KEY=VALUE");
    pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let problem = from_environment("${SPEED_LAYER_NOT_SET}").unwrap_err();
        assert!(problem.contains("SPEED_LAYER_NOT_SET"), "{problem}");
    }

    #[test]
    fn a_variable_is_replaced_by_its_value_and_other_text_is_kept() {
        assert_eq!(from_environment("${PATH}").unwrap(), std::env::var("PATH").unwrap());
        assert_eq!(from_environment("a${b}").unwrap(), "a${b}");
    }

    #[test]
    fn numbers_and_booleans_need_no_quotes() {
        assert_eq!(property_text(&Value::Integer(7)).unwrap(), "7");
        assert_eq!(property_text(&Value::Boolean(true)).unwrap(), "true");
        assert!(property_text(&Value::Array(vec![])).is_err());
    }
}
