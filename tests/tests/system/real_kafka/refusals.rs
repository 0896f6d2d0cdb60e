//! What cannot go well is refused in a paragraph that names the thing and says what to do, with exit code 2
//! where it was said wrongly and 1 otherwise, and nothing is written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::OnceLock;

use speed_layer_tests::job::{DAILY, Job};
use speed_layer_tests::kafka;
use speed_layer_tests::places::plugin;
use speed_layer_tests::ticks::{Plan, Spread};

/// The topic of all these jobs.
fn topic() -> &'static str {
    static MADE: OnceLock<&str> = OnceLock::new();
    MADE.get_or_init(|| {
        let records = Plan { rows: 1_000, days: 5, ..Plan::default() }.records(2, Spread::InTurn);
        kafka::shared().topic_of("refusals", 2, &records);
        "refusals"
    })
}

fn job() -> Job {
    Job::new(kafka::shared(), topic())
}

/// Runs the job; its message must hold each of `told`, and its folder must be as it was.
fn check(job: &Job, code: i32, told: &[&str]) {
    let before = job.files().expect("the job's folder");
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(code), "{}", refused.told());
    let errors: Vec<&str> = refused.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one paragraph: {}", refused.told());
    for text in told {
        assert!(refused.stderr.contains(text), "`{text}` is not said: {}", refused.told());
    }
    assert!(refused.stdout.is_empty(), "{}", refused.told());
    assert!(!refused.stderr.contains("panicked"), "{}", refused.told());
    assert_eq!(job.files().expect("the job's folder"), before, "{}", refused.told());
}

#[test]
fn a_broker_or_topic_that_is_not_there() {
    check(&Job::at("127.0.0.1:1", "any"), 1, &["127.0.0.1:1", "check the address"]);
    check(&Job::new(kafka::shared(), "not-there"), 1, &["not-there", "--wait-for-topic"]);
    let waits = Job::new(kafka::shared(), "not-there").set("--wait-for-topic", "300ms");
    check(&waits, 1, &["not-there"]);
}

#[test]
fn a_file_that_is_no_plugin_for_its_place() {
    let job = job();
    let file = |name: &str, bytes: &[u8]| {
        let path = job.path(name);
        fs::write(&path, bytes).expect("a file in the job's folder");
        path.display().to_string()
    };
    let component = fs::read(plugin("ohlcv")).expect("it is built");
    let text = file("text.wasm", b"(component)");
    let empty = file("empty.wasm", b"");
    let core = file("core.wasm", b"\0asm\x01\0\0\0");
    let cut = file("cut.wasm", &component[..component.len() / 2]);
    let other = file("other.wasm", &of_another_version(&component));
    let ohlcv = plugin("ohlcv").display().to_string();
    let missing = job.path("missing.wasm").display().to_string();
    let cases: [(&str, &str, &[&str]); 8] = [
        ("--aggregate", &missing, &["no plugin file", "xtask build"]),
        ("--aggregate", &text, &["not WebAssembly", "host plugin pack"]),
        ("--parse", &empty, &["not WebAssembly"]),
        ("--transform", &core, &["core WebAssembly module", "host plugin pack"]),
        ("--aggregate", &cut, &["cut short or damaged"]),
        ("--aggregate", &other, &["0.9.0", "0.1.0", "build it against"]),
        ("--parse", &ohlcv, &["aggregate stage", "--aggregate"]),
        ("--transform", &ohlcv, &["aggregate stage"]),
    ];
    let mut job = job;
    for (flag, path, told) in cases {
        let usual = ["parse", "transform", "aggregate"].map(|stage| format!("--{stage}"));
        for (name, stage) in usual.iter().zip(["ticker_json", "ticker_time", "ohlcv"]) {
            job = job.set(name, plugin(stage).display());
        }
        job = job.set(flag, path);
        let name = Path::new(path).file_name().expect("a file").to_string_lossy().into_owned();
        check(&job, 1, &[told, &[name.as_str()]].concat());
    }
}

/// The same component with another version in the names of its contract.
fn of_another_version(component: &[u8]) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let version = b"@0.1.0";
    let places: Vec<usize> =
        (0..bytes.len() - version.len()).filter(|at| bytes[*at..].starts_with(version)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 3] = b'9';
    }
    bytes
}

const WITHOUT_OPEN: &str = r#"parse.fields=[{"name":"symbol","type":"utf8"},
    {"name":"event_time","type":"s64"},{"name":"price","type":"f64"}]"#;
const PRICE_AS_TEXT: &str = r#"parse.fields=[{"name":"symbol","type":"utf8"},
    {"name":"event_time","type":"s64"},{"name":"price","type":"utf8"},{"name":"volume","type":"f64"}]"#;

#[test]
fn a_schema_or_setting_that_does_not_fit() {
    let vwap = || job().set("--aggregate", plugin("vwap").display());
    check(&job().set("--set", WITHOUT_OPEN), 1, &["open", "ohlcv"]);
    check(&vwap().set("--set", PRICE_AS_TEXT), 1, &["price", "vwap"]);
    check(&vwap().set("--set", "aggregate.weight=nothing"), 1, &["nothing", "vwap"]);
    check(&job().set("--set", "aggregate.prefx=x"), 1, &["prefx", "ohlcv"]);
    check(&job().set("--key", "symbl"), 1, &["symbl", "symbol"]);
    check(&job().set("--event-time", "price"), 1, &["price"]);
    check(&job().set("--event-time", "when"), 1, &["when", "event_timestamp"]);
}

#[test]
fn a_command_line_that_makes_no_sense() {
    check(&job().set("--window", "0s"), 2, &["window"]);
    check(&job().set("--window", "-1d"), 2, &["-1"]);
    check(&job().set("--window", "1 fortnight"), 2, &["window"]);
    check(&job().set("--trigger", "0s"), 2, &["trigger"]);
    check(&job().set("--max-records-per-trigger", "0"), 2, &["max_records_per_trigger"]);
    check(&job().set("--start", "yesterday"), 2, &["yesterday", "RFC 3339"]);
    check(&job().set("--on-data-loss", "ignore"), 2, &["ignore", "skip"]);
    check(&job().without("--topic"), 2, &["--topic", "[source.kafka] topic"]);
    check(&job().without("--checkpoint"), 2, &["--checkpoint"]);
    check(&job().without("--aggregate"), 2, &["--aggregate"]);
    check(&job().set("--set", "prefix=x"), 2, &["STAGE.KEY=VALUE"]);
    check(&job().set("--name", "a/b"), 2, &["a/b"]);
    check(&job().set("--kafka", "enable.auto.commit=true"), 2, &["enable.auto.commit", "remove it"]);
    check(&job().set("--kafka", "isolation.level=read_uncommitted"), 2, &["isolation.level"]);
    check(&job().set("--kafka", "no.such.property=1"), 2, &["no.such.property"]);
    check(&job().set("--kafka", "sasl.password=${NOT_SET_HERE}"), 2, &["NOT_SET_HERE", "export"]);
}

#[test]
fn a_pipeline_file_with_a_mistake() {
    let with = |line: &str| job().pipeline(&format!("{DAILY}{line}\n"));
    check(&with("windw = \"1d\""), 2, &["windw", "`window`", "pipeline.toml line 12"]);
    check(&with("mode = \"upsert\""), 2, &["upsert", "append"]);
    check(&with("[time]\nidle_timout = \"1s\""), 2, &["idle_timout", "`idle_timeout`"]);
    check(&with("window = 1"), 2, &["pipeline.toml line 12"]);
    check(&with("[source.kafka.properties]\n\"group.id\" = \"mine\""), 2, &["group.id"]);
    let twice = DAILY.split_once("[[aggregate]]").map_or("", |(_, aggregate)| aggregate);
    check(&with(&format!("[[aggregate]]{twice}")), 2, &["daily", "give each its own"]);
    check(&job().set("", "/no/such/pipeline.toml"), 2, &["/no/such/pipeline.toml"]);
}

#[test]
fn an_output_that_cannot_serve() {
    let spark = job();
    fs::create_dir_all(spark.path("output/daily/_spark_metadata")).expect("a folder");
    check(&spark, 1, &["_spark_metadata", "output/daily", "give another output"]);

    let file = job();
    fs::create_dir(file.path("output")).expect("a folder");
    fs::write(file.path("output/daily"), "x").expect("a file");
    check(&file, 1, &["output/daily", "not a directory"]);

    let inside = job();
    let inside = {
        let path = inside.path("output/daily/checkpoint");
        inside.set("--checkpoint", path.display())
    };
    check(&inside, 1, &["lies inside", "output/daily"]);
}

#[test]
fn an_output_on_another_file_system_than_its_staging() {
    let memory = tempfile::tempdir_in("/dev/shm").expect("Linux has it");
    let job = job();
    fs::create_dir(job.path("output")).expect("a folder");
    symlink(memory.path(), job.path("output/daily.staging")).expect("a link");
    check(&job, 1, &["another file system", "daily.staging"]);
    assert_eq!(fs::read_dir(memory.path()).expect("it is there").count(), 0);
}

#[test]
fn a_checkpoint_that_was_made_with_other_settings() {
    kafka::shared().create_topic("refusals-other", 2, &[]).expect("a new name");
    let job = job();
    job.summary();
    let job = job.set("--topic", "refusals-other");
    check(&job, 1, &["refusals-other", "refusals"]);
    let job = job.set("--topic", topic()).set("--key", "date");
    check(&job, 1, &["the key of aggregate \"daily\"", "date", "symbol"]);
    let job = job.without("--key").set("--window", "1h");
    check(&job, 1, &["the window of aggregate \"daily\"", "1h", "1d"]);
    let job = job.without("--window").set("--aggregate", plugin("vwap").display());
    let other = job.run().expect("it ends");
    assert!(other.status.success() && other.stderr.contains("goes on with ohlcv"), "{}", other.told());
    let job = job.set("--aggregate", plugin("ohlcv").display()).set("--watermark", "2h");
    assert_eq!(job.summary()["records_in"], 0, "the delay may change");
}

#[test]
fn an_aggregate_of_the_checkpoint_that_is_gone() {
    let second = DAILY.split_once("[[aggregate]]").map_or("", |(_, text)| text).replace("daily", "second");
    let job = job().pipeline(&format!("{DAILY}[[aggregate]]{second}")).set("--trigger", "available-now");
    job.summary();
    let job = job.without("").pipeline(DAILY);
    let output = job.path("output/second").display().to_string();
    check(&job, 1, &["aggregate \"second\"", &output, "put it back", "`--drop-aggregate second`"]);
}
