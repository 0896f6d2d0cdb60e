//! The TOML form of a job, read strictly: an unknown key is refused and the
//! nearest known one named. Every value is optional here, because flags may still
//! fill it in; `finish` applies the defaults and demands what has none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ConfigError;
use super::aggregate_sinks::{AggregateSinks, check_topics};
use super::console::console_of;
use super::http::FileHttp;
use super::job::{
    AggregateChanges, AggregateSpec, ClockSpec, JobSpec, OnDataLoss, SideSinks, SourceSpec, StageSpec, Start,
    Trigger,
};
use super::limits::FileLimits;
use super::nearest::nearest;
use super::properties::property_text;
use super::side_sinks::FileSide;
use super::{settings, values};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileJob {
    pub name: Option<String>,
    pub checkpoint: Option<PathBuf>,
    pub trigger: Option<String>,
    pub max_records_per_trigger: Option<u64>,
    pub live_refresh: Option<String>,
    pub plugin_cache: Option<PathBuf>,
    pub trust: Vec<PathBuf>,
    pub source: FileSource,
    pub time: FileTime,
    pub parse: FileStage,
    pub transform: Vec<FileStage>,
    pub aggregate: Vec<FileAggregate>,
    pub dead_letters: FileSide,
    pub late: FileSide,
    pub sink: Vec<FileStreamSink>,
    pub limits: FileLimits,
    pub http: FileHttp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSource {
    pub kafka: FileKafka,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileKafka {
    pub brokers: Option<String>,
    pub topic: Option<String>,
    pub start: Option<String>,
    pub on_data_loss: Option<String>,
    pub wait_for_topic: Option<String>,
    pub metadata_refresh: Option<String>,
    pub properties: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileTime {
    pub event_time: Option<String>,
    pub min_event_time: Option<String>,
    pub max_future_skew: Option<String>,
    pub idle_timeout: Option<String>,
    pub close_on_idle: Option<bool>,
    pub max_drift: Option<String>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileStage {
    pub plugin: Option<PathBuf>,
    #[serde(deserialize_with = "settings::of_toml")]
    pub config: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileAggregate {
    pub name: Option<String>,
    pub plugin: Option<PathBuf>,
    #[serde(deserialize_with = "settings::of_toml")]
    pub config: Map<String, Value>,
    pub key: Option<OneOrMany>,
    pub keep_key_column: Option<bool>,
    pub window: Option<String>,
    pub watermark: Option<String>,
    pub mode: Option<String>,
    pub sink: Vec<FileSink>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSink {
    #[serde(rename = "type")]
    pub kind: String,
    pub path: Option<PathBuf>,
    pub compression: Option<String>,
    pub hold: Option<String>,
    pub hold_rows: Option<u64>,
    pub topic: Option<String>,
    pub format: Option<String>,
    pub mode: Option<String>,
    pub columns: Option<Vec<String>>,
    pub rows: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileStreamSink {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub columns: Option<Vec<String>>,
    pub rows: Option<u64>,
    pub every: Option<String>,
}

impl FileJob {
    /// Reads a pipeline file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(place: &str, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            ConfigError::invalid(format!("{place} line {line}"), with_nearest_key(error.message()))
        })
    }

    /// Fills in the defaults.
    ///
    /// # Errors
    /// Names what is missing or wrong, by its key and its flag.
    pub fn finish(self) -> Result<JobSpec, ConfigError> {
        let aggregates =
            self.aggregate.into_iter().map(FileAggregate::finish).collect::<Result<Vec<_>, _>>()?;
        let first = aggregates.first().ok_or(ConfigError::Missing {
            what: "the aggregate plugin",
            flag: "--aggregate FILE.wasm",
            key: "[[aggregate]] plugin",
        })?;
        refuse_twins(&aggregates)?;
        let name = self.name.unwrap_or_else(|| first.name.clone());
        values::check_name("name", &name)?;
        let memory_max = self.limits.memory_max()?;
        let (limits, poison) = self.limits.finish()?;
        let source = self.source.kafka.finish()?;
        let sides = SideSinks::of(self.dead_letters, self.late, &source.topic)?;
        check_topics(&name, &source.topic, &sides, &aggregates)?;
        Ok(JobSpec {
            name,
            sides,
            source,
            console: console_of(self.sink)?,
            trigger: self.trigger.as_deref().map_or(Ok(Trigger::IntervalMs(10_000)), values::trigger)?,
            max_records_per_trigger: values::positive(self.max_records_per_trigger)?,
            checkpoint: self.checkpoint.ok_or(ConfigError::Missing {
                what: "the checkpoint folder",
                flag: "--checkpoint DIR",
                key: "checkpoint",
            })?,
            clock: self.time.finish()?,
            parse: self.parse.finish("the parse plugin", "--parse FILE.wasm", "[parse] plugin")?,
            transforms: self
                .transform
                .into_iter()
                .map(|stage| {
                    stage.finish("a transform plugin", "--transform FILE.wasm", "[[transform]] plugin")
                })
                .collect::<Result<_, _>>()?,
            aggregates,
            plugin_cache: self.plugin_cache,
            watch: false,
            limits,
            poison,
            compile_apart: false,
            trust: self.trust,
            memory_max,
            http: self.http.finish()?,
            changes: AggregateChanges::default(),
            live_refresh_ms: self
                .live_refresh
                .map_or(Ok(100), |text| values::duration("live_refresh", &text))?,
        })
    }
}

impl FileKafka {
    fn finish(self) -> Result<SourceSpec, ConfigError> {
        let properties = self
            .properties
            .iter()
            .map(|(key, value)| {
                let text = property_text(value).map_err(|problem| ConfigError::invalid(key, problem))?;
                Ok((key.clone(), text))
            })
            .collect::<Result<_, ConfigError>>()?;
        Ok(SourceSpec {
            brokers: self.brokers.ok_or(ConfigError::Missing {
                what: "the broker list",
                flag: "--brokers HOST:PORT",
                key: "[source.kafka] brokers",
            })?,
            topic: self.topic.ok_or(ConfigError::Missing {
                what: "the topic",
                flag: "--topic NAME",
                key: "[source.kafka] topic",
            })?,
            start: self.start.as_deref().map_or(Ok(Start::Earliest), values::start)?,
            on_data_loss: self.on_data_loss.as_deref().map_or(Ok(OnDataLoss::Stop), values::on_data_loss)?,
            wait_for_topic_ms: self
                .wait_for_topic
                .as_deref()
                .map_or(Ok(0), |text| values::duration("wait_for_topic", text))?,
            metadata_refresh_ms: values::metadata_refresh(self.metadata_refresh.as_deref())?,
            properties,
        })
    }
}

impl FileTime {
    fn finish(self) -> Result<ClockSpec, ConfigError> {
        let defaults = ClockSpec::default();
        Ok(ClockSpec {
            event_time: self.event_time.unwrap_or(defaults.event_time),
            min_event_time_ms: self.min_event_time.map_or(Ok(defaults.min_event_time_ms), |text| {
                values::timestamp_ms("min_event_time", &text)
            })?,
            max_future_skew_ms: values::signed(
                "max_future_skew",
                self.max_future_skew,
                defaults.max_future_skew_ms,
            )?,
            idle_timeout_ms: values::signed("idle_timeout", self.idle_timeout, defaults.idle_timeout_ms)?,
            close_on_idle: self.close_on_idle.unwrap_or(defaults.close_on_idle),
            max_drift_ms: self.max_drift.map(|text| values::duration("max_drift", &text)).transpose()?,
        })
    }
}

impl FileStage {
    fn finish(
        self,
        what: &'static str,
        flag: &'static str,
        key: &'static str,
    ) -> Result<StageSpec, ConfigError> {
        let plugin = self.plugin.ok_or(ConfigError::Missing { what, flag, key })?;
        Ok(StageSpec { plugin, config: self.config })
    }
}

impl FileAggregate {
    fn finish(self) -> Result<AggregateSpec, ConfigError> {
        let place = format!("aggregate {}", self.name.as_deref().unwrap_or("(without a name)"));
        let name = self.name.ok_or_else(|| ConfigError::invalid(&place, "give it a `name`"))?;
        values::check_name("aggregate name", &name)?;
        let stage = FileStage { plugin: self.plugin, config: self.config };
        let sinks = AggregateSinks::of(&place, self.sink, self.mode.as_deref())?;
        Ok(AggregateSpec {
            stage: stage.finish("the aggregate plugin", "--aggregate FILE.wasm", "[[aggregate]] plugin")?,
            key: self.key.map_or_else(|| vec!["symbol".into()], OneOrMany::into_vec),
            keep_key_column: self.keep_key_column.unwrap_or_default(),
            window_ms: values::window(self.window.as_deref().unwrap_or("1d"))?,
            watermark_ms: values::duration("watermark", self.watermark.as_deref().unwrap_or("1h"))?,
            compression: sinks.compression,
            hold: sinks.hold,
            output: sinks.output,
            topics: sinks.topics,
            console: sinks.console,
            name,
        })
    }
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name],
            Self::Many(names) => names,
        }
    }
}

fn refuse_twins(aggregates: &[AggregateSpec]) -> Result<(), ConfigError> {
    for (i, one) in aggregates.iter().enumerate() {
        for other in &aggregates[..i] {
            if one.name == other.name {
                return Err(ConfigError::invalid(
                    format!("aggregate {}", one.name),
                    "two aggregates have this name; give each its own",
                ));
            }
            if one.output == other.output {
                let problem = format!(
                    "writes to {} as {} does; give each aggregate its own output",
                    one.output.display(),
                    other.name
                );
                return Err(ConfigError::invalid(format!("aggregate {}", one.name), problem));
            }
        }
    }
    Ok(())
}

/// Serde lists the known keys after an unknown one; the nearest is what people want to read.
fn with_nearest_key(message: &str) -> String {
    let mut words = message.split('`').skip(1).step_by(2);
    let Some(unknown) = message.starts_with("unknown field").then(|| words.next()).flatten() else {
        return message.to_owned();
    };
    match nearest(unknown, words) {
        Some(known) => format!("unknown key `{unknown}`; did you mean `{known}`?"),
        None => message.replace("unknown field", "unknown key"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        checkpoint = "c"
        [source.kafka]
        brokers = "b:9092"
        topic = "t"
        [parse]
        plugin = "p.wasm"
        [[aggregate]]
        name = "daily"
        plugin = "a.wasm"
        sink = [{ type = "parquet", path = "out/daily" }]
    "#;

    fn check_refused(text: &str, expected: &str) {
        let problem = match FileJob::parse("pipeline.toml", text).and_then(FileJob::finish) {
            Ok(job) => panic!("accepted: {job:?}"),
            Err(error) => error.to_string(),
        };
        assert!(problem.contains(expected), "{problem}");
    }

    #[test]
    fn a_short_file_gets_the_documented_defaults() {
        let job = FileJob::parse("pipeline.toml", WHOLE).unwrap().finish().unwrap();
        assert_eq!(job.name, "daily");
        assert_eq!(job.trigger, Trigger::IntervalMs(10_000));
        assert_eq!(job.source.start, Start::Earliest);
        assert_eq!(job.aggregates[0].window_ms, 86_400_000);
        assert_eq!(job.aggregates[0].watermark_ms, 3_600_000);
        assert_eq!(job.aggregates[0].key, ["symbol"]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one_and_its_line() {
        check_refused(
            &WHOLE.replace("plugin = \"a.wasm\"", "plugin = \"a.wasm\"\nwindwo = \"1d\""),
            "`window`",
        );
        check_refused("checkpiont = \"c\"", "did you mean `checkpoint`");
        check_refused("\n\n[source.kafak]\n", "line 3");
    }

    #[test]
    fn wrong_values_are_refused_by_the_name_of_their_key() {
        for (line, expected) in [
            ("window = \"0d\"", "positive length"),
            ("window = \"1 day\"", "window"),
            ("mode = \"update\"", "append"),
            ("mode = \"complete\"", "cannot go to Parquet"),
            ("watermark = \"-1h\"", "watermark"),
            ("mode = \"upsert\"", "unknown output mode"),
        ] {
            check_refused(
                &WHOLE.replace("plugin = \"a.wasm\"", &format!("plugin = \"a.wasm\"\n{line}")),
                expected,
            );
        }
        check_refused(&format!("{WHOLE}\n[time]\nmax_drift = \"an hour\"\n"), "max_drift");
        check_refused(&format!("trigger = \"sometimes\"\n{WHOLE}"), "trigger");
        check_refused(&format!("max_records_per_trigger = 0\n{WHOLE}"), "max_records_per_trigger");
    }

    #[test]
    fn what_has_no_default_is_demanded_by_flag_and_key() {
        check_refused("checkpoint = \"c\"", "--aggregate");
        check_refused(&WHOLE.replace("topic = \"t\"", ""), "--topic");
        check_refused(&WHOLE.replace("checkpoint = \"c\"", ""), "--checkpoint");
        check_refused(&WHOLE.replace("plugin = \"p.wasm\"", ""), "--parse");
    }

    #[test]
    fn windows_go_to_no_topic_that_is_in_use() {
        let with = |topics: &[&str]| {
            let sinks = topics.iter().map(|topic| format!(", {{ type = \"kafka\", topic = \"{topic}\" }}"));
            let side = "[late]\nsink = { type = \"kafka\", topic = \"late\" }\n";
            WHOLE.replace("\"out/daily\" }", &format!("\"out/daily\" }}{}", sinks.collect::<String>())) + side
        };
        check_refused(&with(&["t"]), "would read its own results");
        check_refused(&with(&["late"]), "letters go there");
        check_refused(&with(&["daily.commits"]), "notes in it what is sent");
        check_refused(&with(&["stats", "stats"]), "windows go there already");
        let job = FileJob::parse("pipeline.toml", &with(&["stats", "typed"])).unwrap().finish().unwrap();
        assert_eq!(job.aggregates[0].topics.len(), 2);
    }

    #[test]
    fn two_aggregates_may_share_neither_name_nor_output() {
        let twin = |name: &str, path: &str| {
            format!(
                "{WHOLE}\n[[aggregate]]\nname = \"{name}\"\nplugin = \"b.wasm\"\nsink = [{{ type = \"parquet\", path = \"{path}\" }}]\n"
            )
        };
        check_refused(&twin("daily", "out/other"), "own");
        check_refused(&twin("hourly", "out/daily"), "own output");
    }
}
