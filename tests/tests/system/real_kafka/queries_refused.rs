//! Queries that get no answer: each is told what is wrong, where, and what to do, and none changes anything.

use speed_layer_tests::asked::ask;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::ticks::{Plan, Spread};

fn job(topic: &str) -> Job {
    kafka::shared().topic_of(topic, 1, &Plan { rows: 2_000, ..Plan::default() }.records(1, Spread::InTurn));
    let job = Job::new(kafka::shared(), topic);
    job.summary();
    job
}

fn check(job: &Job, sql: &str, flags: &[&str], told: &[&str]) {
    let refused = ask(job, sql, flags).expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{sql}: {}", refused.told());
    for text in told {
        assert!(refused.stderr.contains(text), "`{text}` is not said of {sql}: {}", refused.told());
    }
    assert!(refused.stderr.starts_with("error: ") && refused.stdout.is_empty(), "{}", refused.told());
    assert_eq!(refused.stderr.trim_end().lines().count(), 1, "{}", refused.told());
}

#[test]
fn a_malformed_query_is_told_the_place_and_the_nearest_name() {
    let job = job("asked-wrongly");
    for (sql, told) in [
        ("SELEC * FROM daily", &["line 1, column 1: ", "found: SELEC"][..]),
        ("SELECT *\nFROM daily\nWHERE (daily_high > 1", &["line 3, column 22: ", "Expected: )"]),
        ("SELECT *\nFROM daily\nWHERE > 1", &["line 3, column 7: ", "found: >"]),
        ("", &["No SQL statements"]),
        ("SELECT symbl FROM daily", &["line 1, column 8: ", "no column `symbl`; did you mean `symbol`?"]),
        (
            "SELECT *\nFROM daily_clsed",
            &["line 2, column 6: ", "no table `daily_clsed`; did you mean `daily_closed`?"],
        ),
        ("SELECT * FROM zzz", &["no table `zzz`; the tables are commits, daily, "]),
        ("SELECT floot(daily_high) FROM daily", &["line 1, column 8: ", "floot", "floor"]),
        ("SELECT daily_high + symbol FROM daily", &["Cannot"]),
        ("SELECT symbol FROM daily GROUP BY daily_high", &["symbol"]),
        ("SELECT cast('x' AS int)", &["x"]),
        ("SELECT 1; SELECT 2", &["single SQL statement"]),
    ] {
        check(&job, sql, &[], told);
    }
}

#[test]
fn a_query_only_reads() {
    let job = job("asked-to-write");
    let before = job.files().expect("the job's folder");
    let inside = |name: &str| job.path(name).display().to_string();
    for sql in [
        "INSERT INTO daily_open SELECT * FROM daily_open".to_owned(),
        "DELETE FROM daily_open".to_owned(),
        "UPDATE daily_open SET symbol = 'x'".to_owned(),
        "DROP TABLE daily".to_owned(),
        "CREATE TABLE t AS SELECT * FROM daily".to_owned(),
        "CREATE VIEW v AS SELECT * FROM daily".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        format!("COPY daily TO '{}'", inside("copied.parquet")),
        format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'", inside("output")),
    ] {
        check(&job, &sql, &[], &["a query only reads"]);
    }
    check(&job, &format!("SELECT * FROM '{}'", inside("output")), &[], &["no table"]);
    assert_eq!(job.files().expect("the job's folder"), before);
}

#[test]
fn a_query_ends_at_its_limits_of_time_and_memory() {
    let job = job("asked-too-much");
    let endless = "SELECT sum(value % 7) FROM generate_series(1, 1000000000000)";
    check(&job, endless, &["--timeout", "1s"], &["longer than 1 s", "--timeout"]);
    let large = "SELECT value, count(*) FROM generate_series(1, 10000000) GROUP BY value ORDER BY 2";
    check(&job, large, &["--memory", "16777216"], &["more memory", "--memory"]);
    let wide = "SELECT value FROM generate_series(1, 3000000)";
    check(&job, wide, &["--memory", "1048576"], &["LIMIT", "--format csv"]);
}

#[test]
fn a_folder_without_a_job_is_told() {
    let job = Job::new(kafka::shared(), "asked-nothing");
    std::fs::create_dir(job.path("checkpoint")).expect("a folder");
    check(&job, "SELECT 1", &[], &["holds no job's checkpoints"]);
}
