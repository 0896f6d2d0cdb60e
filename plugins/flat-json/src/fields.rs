//! The fields of a record: names, types, and which of them is the event time.
//!
//! They come from the configuration; without it they are those of the plugin.

use serde_json::Value;
use speed_layer_sdk::config::{advice, refusal, unfit};
use speed_layer_sdk::prelude::*;

/// What a field's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A number without fraction and exponent, within 32 bits.
    S32,
    /// A number without fraction and exponent, within 64 bits.
    S64,
    /// A number, rounded to the nearest f32.
    F32,
    /// A number, rounded to the nearest f64.
    F64,
    /// A string.
    Utf8,
}

const KINDS: [Kind; 6] = [Kind::Boolean, Kind::S32, Kind::S64, Kind::F32, Kind::F64, Kind::Utf8];

impl Kind {
    fn of(name: &str) -> Option<Kind> {
        KINDS.into_iter().find(|kind| kind.type_name() == name)
    }

    /// The column's type in the contract.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Boolean => DataType::Boolean,
            Kind::S32 => DataType::S32,
            Kind::S64 => DataType::S64,
            Kind::F32 => DataType::F32,
            Kind::F64 => DataType::F64,
            Kind::Utf8 => DataType::Utf8,
        }
    }

    /// Its name in the configuration.
    pub fn type_name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::S32 => "s32",
            Kind::S64 => "s64",
            Kind::F32 => "f32",
            Kind::F64 => "f64",
            Kind::Utf8 => "utf8",
        }
    }

    /// What a message says was expected.
    pub fn expected(self) -> &'static str {
        match self {
            Kind::Boolean => "true or false",
            Kind::S32 => "an integer of 32 bits",
            Kind::S64 => "an integer of 64 bits",
            Kind::F32 | Kind::F64 => "a number",
            Kind::Utf8 => "a string",
        }
    }
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The key in the record and the column's name.
    pub name: String,
    /// What its value may be; null is allowed for all but the event time.
    pub kind: Kind,
}

/// All fields of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// In the order of the output's columns.
    pub list: Vec<FieldSpec>,
    /// The number of the field that every record must have, if there is one.
    pub event_time: Option<usize>,
}

impl Fields {
    /// Reads the settings `fields` and `event_time`; `usual` are the fields when none are named.
    ///
    /// # Errors
    /// `bad-config` for anything that is not as the crate's documentation says.
    pub fn configure(config: &mut Config, usual: &[(&str, Kind)]) -> Result<Self, Refusal> {
        let list: Vec<FieldSpec> = match config.value("fields") {
            None => usual.iter().map(|&(name, kind)| FieldSpec { name: name.to_owned(), kind }).collect(),
            Some(Value::Array(list)) => list.iter().map(field_spec).collect::<Result<_, _>>()?,
            Some(other) => return Err(unfit("fields", "a list of {\"name\": …, \"type\": …}", &other)),
        };
        refuse_twice(&list)?;
        let event_time = event_time(config.value("event_time"), &list)?;
        Ok(Fields { list, event_time })
    }

    /// The number of the field with this key.
    pub fn position(&self, key: &[u8]) -> Option<usize> {
        self.list.iter().position(|field| field.name.as_bytes() == key)
    }

    /// The output's schema.
    pub fn schema(&self) -> Schema {
        let to_field = |(number, spec): (usize, &FieldSpec)| Field {
            name: spec.name.clone(),
            data_type: spec.kind.data_type(),
            nullable: self.event_time != Some(number),
        };
        schema(self.list.iter().enumerate().map(to_field))
    }
}

fn field_spec(value: &Value) -> Result<FieldSpec, Refusal> {
    let Value::Object(entries) = value else {
        return Err(unfit("fields", "a list of {\"name\": …, \"type\": …}", value));
    };
    if let Some(unknown) = entries.keys().find(|key| *key != "name" && *key != "type") {
        let message = format!("unknown key {unknown:?} in \"fields\"{}", advice(unknown, &["name", "type"]));
        return Err(refusal(message));
    }
    let text = |key: &str| entries.get(key).and_then(Value::as_str);
    let (Some(name), Some(type_name)) = (text("name"), text("type")) else {
        return Err(unfit("fields", "a list of {\"name\": …, \"type\": …}", value));
    };
    let Some(kind) = Kind::of(type_name) else {
        let known = KINDS.map(Kind::type_name);
        let message =
            format!("unknown type {type_name:?} of the field {name:?}{}", advice(type_name, &known));
        return Err(refusal(message));
    };
    Ok(FieldSpec { name: name.to_owned(), kind })
}

fn refuse_twice(list: &[FieldSpec]) -> Result<(), Refusal> {
    if list.is_empty() {
        return Err(refusal("the setting \"fields\" has no field"));
    }
    for (number, field) in list.iter().enumerate() {
        if list[..number].iter().any(|earlier| earlier.name == field.name) {
            return Err(refusal(format!("the setting \"fields\" has {:?} twice", field.name)));
        }
    }
    Ok(())
}

fn event_time(setting: Option<Value>, list: &[FieldSpec]) -> Result<Option<usize>, Refusal> {
    let name = match setting {
        Some(Value::Null) => return Ok(None),
        None => "event_time".to_owned(),
        Some(Value::String(name)) => name,
        Some(other) => return Err(unfit("event_time", "the name of a field, or null for none", &other)),
    };
    let number = list.iter().position(|field| field.name == name);
    let names: Vec<&str> = list.iter().map(|field| field.name.as_str()).collect();
    let missing =
        || refusal(format!("the event time {name:?} is not among the fields{}", advice(&name, &names)));
    number.map(Some).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Option<usize>, &str>) {
        let fields = Config::read(text).and_then(|mut config| Fields::configure(&mut config, &crate::TICK));
        let expected = expected.map_err(|message| Refusal::BadConfig(message.to_owned()));
        assert_eq!(fields.map(|fields| fields.event_time), expected, "{text}");
    }

    #[test]
    fn fields_are_read_or_refused_by_name() {
        check("{}", Ok(Some(1)));
        check(r#"{"event_time": null}"#, Ok(None));
        check(r#"{"event_time": "price"}"#, Ok(Some(2)));
        check(r#"{"fields": [{"name": "t", "type": "s64"}], "event_time": "t"}"#, Ok(Some(0)));
        check(
            r#"{"fields": [{"name": "event_tim", "type": "s64"}]}"#,
            Err("the event time \"event_time\" is not among the fields; did you mean \"event_tim\"?"),
        );
        check(
            r#"{"fields": [{"name": "t", "type": "u64"}]}"#,
            Err("unknown type \"u64\" of the field \"t\"; did you mean \"s64\"?"),
        );
        check(
            r#"{"fields": [{"nam": "t", "type": "s64"}]}"#,
            Err("unknown key \"nam\" in \"fields\"; did you mean \"name\"?"),
        );
        check(r#"{"fields": []}"#, Err("the setting \"fields\" has no field"));
        let twice = r#"{"fields": [{"name": "t", "type": "s64"}, {"name": "t", "type": "f64"}]}"#;
        check(twice, Err("the setting \"fields\" has \"t\" twice"));
    }
}
