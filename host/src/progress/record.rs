//! A commit as a line of JSON, in the shape that Spark gives the progress of a streaming query, so that what reads the
//! one can read the other. docs/operations.md says what each field is here.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::job::{PartitionStep, Progress, Standing};
use crate::times::json as time;

pub fn record(job: &str, topic: &str, progress: &Progress) -> Value {
    let took = &progress.took;
    let rate = progress.records_per_s();
    json!({
        "id": job,
        "runId": progress.generation.to_string(),
        "name": job,
        "timestamp": time(progress.began_ms),
        "batchId": progress.epoch,
        "batchDuration": ms(took.fold + took.commit),
        "numInputRows": progress.account.records_in,
        "inputRowsPerSecond": rate,
        "processedRowsPerSecond": rate,
        "durationMs": {
            "cut": ms(took.cut),
            "fold": ms(took.fold),
            "commit": ms(took.commit),
            "triggerExecution": ms(took.since_last),
        },
        "eventTime": event_time(progress),
        "stateOperators": progress.aggregates.iter().map(|of| operator(of, progress)).collect::<Vec<_>>(),
        "sources": [source(topic, progress, rate)],
        "sink": { "description": "Parquet", "numOutputRows": progress.windows, "numOutputFiles": progress.files },
    })
}

/// Nothing of a commit without rows, as Spark has it, but the watermark.
fn event_time(progress: &Progress) -> Map<String, Value> {
    let span = &progress.event_times;
    let times = [
        ("min", span.least_ms()),
        ("avg", span.mean_ms()),
        ("max", span.greatest_ms()),
        ("watermark", progress.watermark_ms()),
    ];
    times.into_iter().filter_map(|(name, ms)| Some((name.to_owned(), time(ms?)))).collect()
}

fn operator(of: &Standing, progress: &Progress) -> Value {
    let account = progress.account.aggregates.get(&of.name).copied().unwrap_or_default();
    json!({
        "operatorName": of.name,
        "numRowsTotal": of.open_groups + of.held_groups,
        "numRowsUpdated": account.aggregated,
        "numRowsDroppedByWatermark": account.late,
        "memoryUsedBytes": of.state_bytes,
        "customMetrics": {
            "openWindows": of.open_windows,
            "heldWindows": of.held_windows,
            "closedThrough": of.closed_through_ms.map(time),
            "rowsWithheld": account.withheld,
            "rowsDeadLettered": account.dead_lettered,
        },
    })
}

fn source(topic: &str, progress: &Progress, rate: f64) -> Value {
    let offsets = |of: fn(&PartitionStep) -> i64| {
        let steps = progress.partitions.iter();
        let by_number =
            steps.map(|step| (step.partition.to_string(), json!(of(step)))).collect::<Map<_, _>>();
        json!({ topic: by_number })
    };
    let behind: Vec<u64> = progress.partitions.iter().map(PartitionStep::behind).collect();
    let mean = behind.iter().sum::<u64>() as f64 / behind.len().max(1) as f64;
    json!({
        "description": format!("Kafka[{topic}]"),
        "startOffset": offsets(|step| step.from_offset),
        "endOffset": offsets(|step| step.next_offset),
        "latestOffset": offsets(|step| step.end_offset),
        "numInputRows": progress.account.records_in,
        "inputRowsPerSecond": rate,
        "processedRowsPerSecond": rate,
        // Text, as Spark has it.
        "metrics": {
            "minOffsetsBehindLatest": behind.iter().min().copied().unwrap_or_default().to_string(),
            "avgOffsetsBehindLatest": mean.to_string(),
            "maxOffsetsBehindLatest": behind.iter().max().copied().unwrap_or_default().to_string(),
        },
    })
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use speed_layer_core::account::{Account, AggregateAccount};

    const NOON_MS: i64 = 1_763_640_000_000;

    fn progress() -> Progress {
        let mut account = Account { records_in: 30, ..Account::new(["daily"]) };
        *account.aggregate("daily") =
            AggregateAccount { aggregated: 25, late: 3, withheld: 1, dead_lettered: 1 };
        let standing = Standing {
            name: "daily".into(),
            delay_ms: 3_600_000,
            closed_through_ms: Some(NOON_MS),
            open_windows: 2,
            open_groups: 4,
            held_windows: 0,
            held_groups: 0,
            state_bytes: 640,
        };
        let step =
            |partition, next_offset| PartitionStep { partition, from_offset: 0, next_offset, end_offset: 30 };
        let mut progress = Progress {
            epoch: 7,
            generation: 2,
            began_ms: NOON_MS,
            account,
            windows: 5,
            files: 3,
            clock_ms: Some(NOON_MS),
            partitions: vec![step(0, 10), step(1, 20)],
            aggregates: vec![standing],
            ..Progress::default()
        };
        progress.took.since_last = Duration::from_secs(2);
        progress.took.fold = Duration::from_millis(5);
        progress.event_times.note(&[NOON_MS * 1000, (NOON_MS + 2_000) * 1000]);
        progress
    }

    #[test]
    fn a_commit_reads_as_the_progress_of_a_query() {
        let told = record("daily", "ticks", &progress());
        for (pointer, expected) in [
            ("/name", json!("daily")),
            ("/runId", json!("2")),
            ("/batchId", json!(7)),
            ("/timestamp", json!("2025-11-20T12:00:00.000Z")),
            ("/numInputRows", json!(30)),
            ("/inputRowsPerSecond", json!(15.0)),
            ("/durationMs/fold", json!(5)),
            ("/durationMs/triggerExecution", json!(2000)),
            ("/eventTime/min", json!("2025-11-20T12:00:00.000Z")),
            ("/eventTime/avg", json!("2025-11-20T12:00:01.000Z")),
            ("/eventTime/max", json!("2025-11-20T12:00:02.000Z")),
            ("/eventTime/watermark", json!("2025-11-20T11:00:00.000Z")),
            ("/stateOperators/0/operatorName", json!("daily")),
            ("/stateOperators/0/numRowsTotal", json!(4)),
            ("/stateOperators/0/numRowsDroppedByWatermark", json!(3)),
            ("/stateOperators/0/memoryUsedBytes", json!(640)),
            ("/stateOperators/0/customMetrics/openWindows", json!(2)),
            ("/sources/0/startOffset/ticks/1", json!(0)),
            ("/sources/0/endOffset/ticks/1", json!(20)),
            ("/sources/0/latestOffset/ticks/0", json!(30)),
            ("/sources/0/metrics/avgOffsetsBehindLatest", json!("15")),
            ("/sources/0/metrics/maxOffsetsBehindLatest", json!("20")),
            ("/sink/numOutputRows", json!(5)),
        ] {
            assert_eq!(told.pointer(pointer), Some(&expected), "{pointer} of {told}");
        }
    }

    #[test]
    fn a_commit_without_rows_has_no_event_times() {
        let told = record(
            "daily",
            "ticks",
            &Progress { event_times: Default::default(), clock_ms: None, ..progress() },
        );
        assert_eq!(told["eventTime"], json!({}));
    }
}
