//! A job that takes over from one of Spark's: what both have written is the whole result, each window once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use speed_layer_tests::host::{Finished, Running};
use speed_layer_tests::job::{DAILY, Job};
use speed_layer_tests::kafka;
use speed_layer_tests::places::root;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::transcript::{Shell, steps};

use super::{DAY_MS, HOUR_MS, LIMIT};

const PARTITIONS: i32 = 2;

fn records(rows: usize) -> Vec<Placed> {
    let plan = Plan { rows, days: 10, jitter_ms: HOUR_MS / 2, nulls_per_million: 20_000, ..Plan::default() };
    plan.records(PARTITIONS, Spread::InTurn)
}

/// What a job of Spark's leaves that has read the first records of each partition.
struct Spark {
    topic: String,
    first: BTreeMap<String, i64>,
    next: BTreeMap<String, i64>,
    /// Of its last batch, and of the one that comes next.
    watermarks_ms: [i64; 2],
}

impl Spark {
    fn over(topic: &str, read: &[Placed]) -> Self {
        let mut next = BTreeMap::new();
        for record in read {
            next.insert(record.partition.to_string(), record.offset + 1);
        }
        let greatest_ms = read.iter().filter_map(|of| Some(of.tick.as_ref()?.event_time_ms)).max();
        let watermark_ms = greatest_ms.expect("ticks") - HOUR_MS;
        let first = next.keys().map(|partition| (partition.clone(), 0)).collect();
        // A day closes between its last two batches: it is for us to write.
        Self { topic: topic.to_owned(), first, next, watermarks_ms: [watermark_ms - DAY_MS, watermark_ms] }
    }

    /// Writes its checkpoint folder beside the job's.
    fn left(&self, job: &Job) -> PathBuf {
        self.left_in(job.path("spark/checkpoint"))
    }

    fn left_in(&self, dir: PathBuf) -> PathBuf {
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("room");
            fs::write(path, text).expect("room");
        };
        let of = |offsets: &BTreeMap<String, i64>| json!({ self.topic.clone(): offsets }).to_string();
        let [now_ms, next_ms] = self.watermarks_ms;
        write("metadata", json!({ "id": "91e9bd86-418c-438f-a50f-c887cc984244" }).to_string());
        write("sources/0/0", format!("\0v1\n{}", of(&self.first)));
        let metadata =
            json!({ "batchWatermarkMs": now_ms, "batchTimestampMs": 1_795_373_389_857_i64, "conf": {} });
        write("offsets/7", format!("v1\n{metadata}\n{}", of(&self.next)));
        write("commits/7", format!("v1\n{}", json!({ "nextBatchWatermarkMs": next_ms })));
        dir
    }
}

fn import(job: &Job, dir: &Path, flags: &[&str]) -> Finished {
    let mut command =
        job.command_of(&["import-spark-checkpoint", &dir.display().to_string()]).expect("built");
    Running::start(command.args(flags)).expect("it starts").finish(LIMIT).expect("it ends")
}

#[test]
fn a_job_goes_on_where_spark_stopped_and_writes_the_windows_that_spark_had_open() {
    let (topic, records) = ("imported-daily", records(20_000));
    kafka::shared().topic_of(topic, PARTITIONS, &records);
    let job = Job::new(kafka::shared(), topic);
    let read = &records[..12_345];
    let spark = Spark::over(topic, read);
    let imported = import(&job, &spark.left(&job), &[]).summary().expect("it is taken over");
    assert_eq!((&imported["spark_batch"], &imported["records_read_again"]), (&json!(7), &json!(read.len())));
    assert_eq!(imported["next_offsets"], json!(spark.next));
    assert_eq!((&imported["windows_out"], &imported["open_groups"]["daily"]), (&json!(20), &json!(20)));
    let summary = job.summary();
    assert_eq!(summary["records_in"], records.len() - read.len(), "{summary}");
    assert_eq!(summary["rows_late"], 0, "{summary}");
    let mut expected = closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms(&records, HOUR_MS));
    let all = expected.len();
    expected.retain(|(_, start_ms), _| start_ms + DAY_MS > spark.watermarks_ms[0]);
    assert!(expected.len() > 60 && expected.len() < all - 60, "{} of {all} prove little", expected.len());
    assert_equal(&job.table(), &expected);
}

#[test]
fn the_day_that_spark_closed_last_and_had_not_written_is_written_at_once() {
    let (topic, records) = ("imported-still", records(9_000));
    kafka::shared().topic_of(topic, PARTITIONS, &records);
    let job = Job::new(kafka::shared(), topic);
    let spark = Spark::over(topic, &records);
    let imported = import(&job, &spark.left(&job), &[]).summary().expect("it is taken over");
    let [from_ms, to_ms] = spark.watermarks_ms;
    let mut expected = ohlcv(&records, DAY_MS, "daily");
    expected.retain(|(_, start_ms), _| (from_ms + 1..=to_ms).contains(&(start_ms + DAY_MS)));
    assert!(!expected.is_empty());
    assert_eq!(imported["windows_out"], expected.len());
    assert_equal(&job.table(), &expected);
    assert_eq!((&job.summary()["records_in"], job.table().len()), (&json!(0), expected.len()));
}

#[test]
fn records_that_retention_took_may_not_belong_to_a_window_that_is_open() {
    let (topic, records) = ("imported-taken", records(4_000));
    kafka::shared().topic_of(topic, PARTITIONS, &records);
    kafka::shared().delete_records(topic, &[(0, 100)]).expect("they are there");
    let job = Job::new(kafka::shared(), topic);
    let dir = Spark::over(topic, &records[..3_000]).left(&job);
    let refused = import(&job, &dir, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    for part in ["partition 0 of the topic imported-taken begins at offset 100", "--rebuild-from"] {
        assert!(refused.stderr.contains(part), "{}", refused.told());
    }
    assert!(!job.path("checkpoint/daily").exists(), "something was written");
    let imported = import(&job, &dir, &["--rebuild-from", "2025-01-01T00:00:00Z"]);
    assert_eq!(imported.summary().expect("it is taken over")["records_read_again"], 2_900);
}

#[test]
fn what_cannot_be_taken_over_is_refused_and_changes_nothing() {
    let (topic, records) = ("imported-refused", records(2_000));
    kafka::shared().topic_of(topic, PARTITIONS, &records);
    let check = |spark: &Spark, job: &Job, parts: &[&str]| {
        let refused = import(job, &spark.left(job), &[]);
        assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
        for part in parts {
            assert!(refused.stderr.contains(part), "`{part}`: {}", refused.told());
        }
    };
    let fresh = || Job::new(kafka::shared(), topic);
    let whole = || Spark::over(topic, &records);
    check(&Spark::over("another", &records), &fresh(), &["reads the topic another", topic]);
    let mut ahead = whole();
    ahead.next.insert("1".to_owned(), 5_000);
    check(&ahead, &fresh(), &["partition 1", "ends at offset 1000", "5000"]);
    let mut more = whole();
    more.next.insert("7".to_owned(), 5);
    check(&more, &fresh(), &["partition 7", "gone"]);
    let taken = fresh();
    assert_eq!(taken.summary()["records_in"], 2_000);
    check(&whole(), &taken, &["job daily has a checkpoint of its own already", "another name"]);
    let begun = fresh();
    let dir = whole().left(&begun);
    fs::copy(dir.join("offsets/7"), dir.join("offsets/8")).expect("room");
    let refused = import(&begun, &dir, &[]);
    assert!(
        refused.stderr.contains("batch 8") && refused.stderr.contains("--spark-output"),
        "{}",
        refused.told()
    );
    fs::create_dir_all(begun.path("spark/out/_spark_metadata")).expect("room");
    let output = begun.path("spark/out").display().to_string();
    let imported = import(&begun, &dir, &["--spark-output", &output]).summary().expect("it is taken over");
    assert_eq!(imported["watermark"].as_str().map(str::len), Some("2025-11-10T22:59:59.999Z".len()));
    assert_ne!(imported["epoch"], Value::Null);
}

#[test]
fn the_commands_of_the_page_print_what_the_page_says() {
    let (topic, records) = ("imported-docs", records(3_000));
    kafka::shared().topic_of(topic, PARTITIONS, &records);
    let document = fs::read_to_string(root().join("docs/from-spark.md")).expect("the page");
    let steps = steps(&document);
    assert_eq!(steps.len(), 2, "{steps:?}");
    let job = Job::new(kafka::shared(), topic).pipeline(DAILY);
    Spark::over(topic, &records[..2_000]).left(&job);
    let mut shell = Shell::with_program(&job.path("")).expect("sh starts");
    for step in steps {
        shell.check(&step, LIMIT).unwrap_or_else(|error| panic!("{error:#}"));
    }
}
