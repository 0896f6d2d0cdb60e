//! Single values of a job's configuration, from their text. Each error names the key.

use speed_layer_core::commit::JobName;
use speed_layer_core::time::Duration;

use super::ConfigError;
use super::job::{Compression, OnDataLoss, Start, Trigger};

/// A job's name stands in file names and an aggregate's in its files' footers; both are plain.
pub fn check_name(place: &str, name: &str) -> Result<(), ConfigError> {
    JobName::new(name).map(|_| ()).map_err(|error| ConfigError::invalid(place, error))
}

pub fn trigger(text: &str) -> Result<Trigger, ConfigError> {
    match text {
        "once" => Ok(Trigger::Once),
        "available-now" => Ok(Trigger::AvailableNow),
        "continuous" => Ok(Trigger::Continuous),
        _ => match text.parse::<Duration>() {
            Ok(every) if every.as_ms() > 0 => Ok(Trigger::IntervalMs(every.as_ms())),
            _ => Err(ConfigError::invalid(
                "trigger",
                format!(
                    "`{text}` is none of a positive duration such as 10s, `once`, `available-now`, `continuous`"
                ),
            )),
        },
    }
}

pub fn start(text: &str) -> Result<Start, ConfigError> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        _ => timestamp_ms("start", text).map(Start::AtMs),
    }
}

pub fn on_data_loss(text: &str) -> Result<OnDataLoss, ConfigError> {
    match text {
        "stop" => Ok(OnDataLoss::Stop),
        "skip" => Ok(OnDataLoss::Skip),
        _ => Err(ConfigError::invalid("on_data_loss", format!("`{text}` is neither `stop` nor `skip`"))),
    }
}

/// How often the topic is looked at, milliseconds.
pub fn metadata_refresh(text: Option<&str>) -> Result<u64, ConfigError> {
    match text.map_or(Ok(30_000), |text| duration("metadata_refresh", text))? {
        0 => Err(ConfigError::invalid(
            "metadata_refresh",
            "0 would ask without end; give a duration such as 30s",
        )),
        ms => Ok(ms),
    }
}

pub fn window(text: &str) -> Result<u64, ConfigError> {
    match duration("window", text)? {
        0 => Err(ConfigError::invalid("window", "a window needs a positive length, such as 1h or 1d")),
        ms => Ok(ms),
    }
}

pub fn duration(place: &str, text: &str) -> Result<u64, ConfigError> {
    text.parse::<Duration>().map(Duration::as_ms).map_err(|error| ConfigError::invalid(place, error))
}

pub fn signed(place: &str, text: Option<String>, default_ms: i64) -> Result<i64, ConfigError> {
    match text {
        Some(text) => i64::try_from(duration(place, &text)?)
            .map_err(|_| ConfigError::invalid(place, format!("`{text}` is too long"))),
        None => Ok(default_ms),
    }
}

pub fn timestamp_ms(place: &str, text: &str) -> Result<i64, ConfigError> {
    chrono::DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis()).map_err(|_| {
        let problem = format!("`{text}` is not a time as RFC 3339 writes it, such as 2026-01-31T00:00:00Z");
        ConfigError::invalid(place, problem)
    })
}

pub fn compression(place: &str, text: &str) -> Result<Compression, ConfigError> {
    match text {
        "snappy" => Ok(Compression::Snappy),
        "zstd" => Ok(Compression::Zstd),
        _ => {
            Err(ConfigError::invalid(place, format!("unknown compression `{text}`; use `snappy` or `zstd`")))
        }
    }
}

pub fn positive(cap: Option<u64>) -> Result<Option<u64>, ConfigError> {
    match cap {
        Some(0) => {
            Err(ConfigError::invalid("max_records_per_trigger", "0 would take in nothing; give at least 1"))
        }
        cap => Ok(cap),
    }
}
