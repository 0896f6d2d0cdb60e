//! The flags of `host run`, laid over the pipeline file or standing for one.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::ConfigError;
use super::console::show_every;
use super::file::{FileAggregate, FileJob, FileSink, FileStage, OneOrMany};
use super::job::JobSpec;
use super::nearest::nearest;
use super::properties::split_pair;

const SET_HELP: &str = "A plugin's setting: parse.KEY=VALUE, transform[:i].KEY=VALUE, \
                        aggregate[:NAME].KEY=VALUE; VALUE is JSON or text";

#[derive(Debug, Default, Args)]
pub struct RunFlags {
    /// The job as a file; flags override what it says
    #[arg(value_name = "PIPELINE.toml")]
    pub pipeline: Option<PathBuf>,
    /// Kafka brokers, HOST:PORT[,HOST:PORT...]
    #[arg(long, value_name = "B", help_heading = "Source")]
    pub brokers: Option<String>,
    /// The topic to read; this process reads all of its partitions
    #[arg(long, value_name = "T", help_heading = "Source")]
    pub topic: Option<String>,
    /// Where a job without a checkpoint begins: earliest, latest or an RFC 3339 time [default: earliest]
    #[arg(long, value_name = "WHERE", help_heading = "Source")]
    pub start: Option<String>,
    /// When records are gone before they were read: stop, or skip and record the gap [default: stop]
    #[arg(long, value_name = "stop|skip", help_heading = "Source")]
    pub on_data_loss: Option<String>,
    /// Wait for the topic to appear, for ever or for DURATION
    #[arg(long, value_name = "DURATION", num_args = 0..=1, help_heading = "Source")]
    pub wait_for_topic: Option<Option<String>>,
    /// How often to look for new partitions of the topic while the job runs [default: 30s]
    #[arg(long, value_name = "DURATION", help_heading = "Source")]
    pub metadata_refresh: Option<String>,
    /// A librdkafka property; ${NAME} as the value takes it from the environment
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Source")]
    pub kafka: Vec<String>,
    /// The parse plugin
    #[arg(long, value_name = "P.wasm", help_heading = "Stages")]
    pub parse: Option<PathBuf>,
    /// A transform plugin; repeat it for several, in order
    #[arg(long, value_name = "T.wasm", help_heading = "Stages")]
    pub transform: Vec<PathBuf>,
    /// The aggregate plugin
    #[arg(long, value_name = "A.wasm", help_heading = "Stages")]
    pub aggregate: Option<PathBuf>,
    // No doc comment, because rustdoc takes the brackets for links.
    #[arg(long, value_name = "STAGE.KEY=VALUE", help_heading = "Stages", help = SET_HELP)]
    pub set: Vec<String>,
    /// Run only plugins signed by a key in this file; repeat it for several
    #[arg(long, value_name = "KEYFILE", help_heading = "Stages")]
    pub trust: Vec<PathBuf>,
    /// The column that holds the event time [default: event_time]
    #[arg(long, value_name = "COLUMN", help_heading = "Aggregation")]
    pub event_time: Option<String>,
    /// The key column; repeat it for several [default: symbol]
    #[arg(long, value_name = "COLUMN", help_heading = "Aggregation")]
    pub key: Vec<String>,
    /// Have the files hold the key as columns too
    #[arg(long, help_heading = "Aggregation")]
    pub keep_key_column: bool,
    /// Window length: an integer and ms, s, m, h or d [default: 1d]
    #[arg(long, value_name = "DURATION", help_heading = "Aggregation")]
    pub window: Option<String>,
    /// How far behind the newest event time a row may be [default: 1h]
    #[arg(long, value_name = "DURATION", help_heading = "Aggregation")]
    pub watermark: Option<String>,
    /// How long closed windows are held, to be published in fewer files [default: not at all]
    #[arg(long, value_name = "DURATION", help_heading = "Commits")]
    pub hold: Option<String>,
    /// When to commit: DURATION, once, available-now or continuous [default: 10s]
    #[arg(long, value_name = "WHEN", help_heading = "Commits")]
    pub trigger: Option<String>,
    /// What one commit takes in at most (not with the trigger once)
    #[arg(long, value_name = "N", help_heading = "Commits")]
    pub max_records_per_trigger: Option<u64>,
    /// Where the Parquet files go
    #[arg(long, value_name = "DIR", help_heading = "Commits")]
    pub output: Option<PathBuf>,
    /// The parent folder of the job's checkpoints
    #[arg(long, value_name = "DIR", help_heading = "Commits")]
    pub checkpoint: Option<PathBuf>,
    /// The job's name [default: the output's last path part, or the first aggregate's name]
    #[arg(long, value_name = "N", help_heading = "Commits")]
    pub name: Option<String>,
    /// Print the last 10 rows now and then, every 30 s unless DURATION is given
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, help_heading = "Progress")]
    pub console: Option<Option<String>>,
    /// Where compiled plugins are kept [default: the user's cache folder]
    #[arg(long, value_name = "DIR", env = "SPEED_LAYER_PLUGIN_CACHE", help_heading = "Commits")]
    pub plugin_cache: Option<PathBuf>,
    /// Tell metrics, health and progress over HTTP at this address; port 0 takes a free one [default: off]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Progress")]
    pub http: Option<String>,
}

/// The job that flags and, when one is named, a pipeline file describe.
///
/// # Errors
/// `ConfigError`, before anything outside has been touched.
pub fn load(flags: RunFlags) -> Result<JobSpec, ConfigError> {
    let mut job = match &flags.pipeline {
        Some(path) => FileJob::read(path)?,
        None => FileJob::default(),
    };
    overlay(&mut job, flags)?;
    job.finish()
}

fn overlay(job: &mut FileJob, flags: RunFlags) -> Result<(), ConfigError> {
    let kafka = &mut job.source.kafka;
    put(&mut kafka.brokers, flags.brokers);
    put(&mut kafka.topic, flags.topic);
    put(&mut kafka.start, flags.start);
    put(&mut kafka.on_data_loss, flags.on_data_loss);
    put(&mut kafka.wait_for_topic, flags.wait_for_topic.map(|wait| wait.unwrap_or_else(|| FOR_EVER.into())));
    put(&mut kafka.metadata_refresh, flags.metadata_refresh);
    for pair in &flags.kafka {
        let (key, value) = split_pair("--kafka", pair)?;
        kafka.properties.insert(key.to_owned(), toml::Value::String(value.to_owned()));
    }
    put(&mut job.parse.plugin, flags.parse);
    if !flags.transform.is_empty() {
        job.transform = flags
            .transform
            .into_iter()
            .map(|plugin| FileStage { plugin: Some(plugin), ..Default::default() })
            .collect();
    }
    if !flags.trust.is_empty() {
        job.trust = flags.trust;
    }
    put(&mut job.time.event_time, flags.event_time);
    put(&mut job.trigger, flags.trigger);
    put(&mut job.max_records_per_trigger, flags.max_records_per_trigger);
    put(&mut job.checkpoint, flags.checkpoint);
    put(&mut job.plugin_cache, flags.plugin_cache);
    put(&mut job.http.listen, flags.http);
    if let Some(every) = flags.console {
        show_every(&mut job.sink, every);
    }
    let of_aggregate = AggregateFlags {
        plugin: flags.aggregate,
        key: flags.key,
        keep_key_column: flags.keep_key_column.then_some(true),
        window: flags.window,
        watermark: flags.watermark,
        output: flags.output,
        hold: flags.hold,
    };
    of_aggregate.overlay(job, flags.name.as_deref())?;
    put(&mut job.name, flags.name);
    flags.set.iter().try_for_each(|setting| apply_setting(job, setting))
}

/// Longer than any process lives.
const FOR_EVER: &str = "36500d";

struct AggregateFlags {
    plugin: Option<PathBuf>,
    key: Vec<String>,
    keep_key_column: Option<bool>,
    window: Option<String>,
    watermark: Option<String>,
    output: Option<PathBuf>,
    hold: Option<String>,
}

impl AggregateFlags {
    fn overlay(self, job: &mut FileJob, name: Option<&str>) -> Result<(), ConfigError> {
        let Some(flag) = self.first_given() else { return Ok(()) };
        if job.aggregate.len() > 1 {
            let problem = format!(
                "the pipeline file has {} aggregates; set it there, for the one that is meant",
                job.aggregate.len()
            );
            return Err(ConfigError::invalid(flag, problem));
        }
        if job.aggregate.is_empty() {
            job.aggregate.push(self.new_aggregate(name)?);
        }
        let aggregate = &mut job.aggregate[0];
        put(&mut aggregate.plugin, self.plugin);
        put(&mut aggregate.key, (!self.key.is_empty()).then_some(OneOrMany::Many(self.key)));
        put(&mut aggregate.keep_key_column, self.keep_key_column);
        put(&mut aggregate.window, self.window);
        put(&mut aggregate.watermark, self.watermark);
        if let Some(path) = self.output {
            match aggregate.sink.iter_mut().find(|sink| sink.kind == "parquet") {
                Some(files) => files.path = Some(path),
                None => aggregate.sink.push(FileSink::files(path)),
            }
        }
        if let Some(files) = aggregate.sink.iter_mut().find(|sink| sink.kind == "parquet") {
            put(&mut files.hold, self.hold);
        }
        Ok(())
    }

    fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("--aggregate", self.plugin.is_some()),
            ("--key", !self.key.is_empty()),
            ("--keep-key-column", self.keep_key_column.is_some()),
            ("--window", self.window.is_some()),
            ("--watermark", self.watermark.is_some()),
            ("--output", self.output.is_some()),
            ("--hold", self.hold.is_some()),
        ];
        given.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
    }

    fn new_aggregate(&self, name: Option<&str>) -> Result<FileAggregate, ConfigError> {
        let output = self.output.as_ref().ok_or(ConfigError::Missing {
            what: "the output folder",
            flag: "--output DIR",
            key: "[[aggregate.sink]] path",
        })?;
        let last_part = output.file_name().map(|part| part.to_string_lossy().into_owned());
        let name = name.map(str::to_owned).or(last_part).ok_or_else(|| {
            ConfigError::invalid("--output", format!("{} ends with no name; give --name", output.display()))
        })?;
        Ok(FileAggregate { name: Some(name), ..Default::default() })
    }
}

fn put<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

fn apply_setting(job: &mut FileJob, setting: &str) -> Result<(), ConfigError> {
    let (path, text) = split_pair("--set", setting)?;
    let Some((stage, key)) = path.split_once('.') else {
        return Err(ConfigError::invalid(
            format!("--set {path}"),
            "expects STAGE.KEY=VALUE, such as parse.event_time=ts",
        ));
    };
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    config_of(job, stage)?.insert(key.to_owned(), value);
    Ok(())
}

fn config_of<'a>(
    job: &'a mut FileJob,
    stage: &str,
) -> Result<&'a mut serde_json::Map<String, Value>, ConfigError> {
    let place = format!("--set {stage}");
    let (kind, which) = stage.split_once(':').map_or((stage, None), |(kind, which)| (kind, Some(which)));
    match (kind, which) {
        ("parse", None) => Ok(&mut job.parse.config),
        ("transform", which) => {
            let index = which.map_or(Ok(0), str::parse::<usize>);
            let index = index
                .map_err(|_| ConfigError::invalid(&place, "transform:i takes a number, 0 for the first"))?;
            let count = job.transform.len();
            let stage = job.transform.get_mut(index);
            stage
                .map(|stage| &mut stage.config)
                .ok_or_else(|| ConfigError::invalid(&place, format!("there are {count} transforms")))
        }
        ("aggregate", None) if job.aggregate.len() > 1 => {
            Err(ConfigError::invalid(&place, "there are several aggregates; say aggregate:NAME.KEY=VALUE"))
        }
        ("aggregate", which) => {
            let mut all = job.aggregate.iter_mut();
            let found = all.find(|aggregate| which.is_none() || aggregate.name.as_deref() == which);
            found
                .map(|aggregate| &mut aggregate.config)
                .ok_or_else(|| ConfigError::invalid(&place, "there is no such aggregate"))
        }
        (kind, _) => {
            let hint =
                nearest(kind, ["parse", "transform", "aggregate"]).unwrap_or("parse, transform or aggregate");
            Err(ConfigError::invalid(&place, format!("unknown stage `{kind}`; did you mean {hint}?")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunFlags,
    }

    fn load_line(line: &str) -> Result<JobSpec, ConfigError> {
        load(Line::parse_from(std::iter::once("run").chain(line.split_whitespace())).run)
    }

    const FLAGS: &str =
        "--brokers b:1 --topic t --parse p.wasm --aggregate a.wasm --output o/daily --checkpoint c";

    #[test]
    fn flags_alone_describe_a_job_named_after_its_output() {
        let job = load_line(FLAGS).unwrap();
        assert_eq!(job.name, "daily");
        assert_eq!(job.aggregates[0].name, "daily");
        assert!(job.transforms.is_empty());
        assert_eq!(job.source.wait_for_topic_ms, 0);
        assert_eq!(job.source.metadata_refresh_ms, 30_000);
    }

    #[test]
    fn a_name_names_the_job_and_its_aggregate() {
        let job = load_line(&format!("{FLAGS} --name crypto --keep-key-column")).unwrap();
        assert_eq!((job.name.as_str(), job.aggregates[0].name.as_str()), ("crypto", "crypto"));
        assert!(job.aggregates[0].keep_key_column);
    }

    #[test]
    fn settings_reach_their_stage_as_json_or_text() {
        let line = format!(
            "{FLAGS} --transform x.wasm --transform y.wasm --set aggregate.prefix=hourly --set transform:1.n=3 --set parse.fields=[1]"
        );
        let job = load_line(&line).unwrap();
        assert_eq!(job.aggregates[0].stage.config["prefix"], "hourly");
        assert_eq!(job.transforms[1].config["n"], 3);
        assert_eq!(job.parse.config["fields"], serde_json::json!([1]));
    }

    #[test]
    fn wrong_flags_are_refused_in_a_sentence() {
        for (extra, expected) in [
            ("--set agregate.prefix=x", "aggregate"),
            ("--set prefix=x", "STAGE.KEY=VALUE"),
            ("--set transform:7.a=1", "transforms"),
            ("--kafka nothing", "KEY=VALUE"),
            ("--name a/b", "a/b"),
            ("--start yesterday", "RFC 3339"),
            ("--console=soon", "every"),
        ] {
            let problem = load_line(&format!("{FLAGS} {extra}")).unwrap_err().to_string();
            assert!(problem.contains(expected), "{extra}: {problem}");
        }
    }

    #[test]
    fn flags_override_the_file_and_ambiguous_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipeline.toml");
        let aggregate = |name: &str| {
            format!(
                "[[aggregate]]\nname = \"{name}\"\nplugin = \"a.wasm\"\nsink = [{{ type = \"parquet\", path = \"out/{name}\" }}]\n"
            )
        };
        let head = "checkpoint = \"c\"\ntrigger = \"1m\"\n[source.kafka]\nbrokers = \"b\"\ntopic = \"t\"\n[parse]\nplugin = \"p.wasm\"\n";
        std::fs::write(&path, format!("{head}{}", aggregate("daily"))).unwrap();
        let job = load_line(&format!("{} --trigger once --window 1h", path.display())).unwrap();
        assert_eq!((job.trigger, job.aggregates[0].window_ms), (super::super::Trigger::Once, 3_600_000));
        std::fs::write(&path, format!("{head}{}{}", aggregate("daily"), aggregate("hourly"))).unwrap();
        let problem = load_line(&format!("{} --window 1h", path.display())).unwrap_err().to_string();
        assert!(problem.contains("--window") && problem.contains("2 aggregates"), "{problem}");
    }
}
