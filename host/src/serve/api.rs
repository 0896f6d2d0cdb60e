//! What is told as JSON. Keys are snake_case with their unit at the end; times are RFC 3339.

use serde_json::{Map, Value, json};
use speed_layer_core::account::Account;

use super::answer::Answer;
use super::board::{Board, Commit};
use super::metrics::PHASES;
use crate::job::{Phase, Progress, Standing, now_ms, swap};
use crate::stages::SideCounts;
use crate::times::json as time;

/// The process lives, or there would be no answer.
pub fn health(board: &Board) -> Answer {
    Answer::json(200, &json!({ "status": "ok", "job": board.job, "began": time(board.began_ms) }))
}

/// Whether the stream goes on.
pub fn ready(board: &Board) -> Answer {
    match board.handle.phase() {
        Phase::Running => Answer::json(200, &json!({ "status": "ready", "job": board.job })),
        Phase::Starting => {
            Answer::error(503, "the job is starting: its partitions are not assigned yet; see its log")
        }
        Phase::Stopping => Answer::error(503, "the job is stopping: it commits what is whole and ends"),
    }
}

/// `can_change`: a token is set.
pub fn status(board: &Board, can_change: bool) -> Value {
    let word = board.word();
    let newest = word.newest();
    let progress = newest.map(|commit| &commit.progress);
    let watermark_ms = progress.and_then(Progress::watermark_ms);
    json!({
        "job": board.job,
        "topic": board.topic,
        "version": env!("CARGO_PKG_VERSION"),
        "state": state(board),
        "began": time(board.began_ms),
        "now": time(now_ms()),
        "epoch": progress.map(|of| of.epoch),
        "generation": progress.map(|of| of.generation),
        "records_read": board.handle.taken_in(),
        "records_to_read": board.handle.to_read(),
        "read_bytes": board.handle.taken_in_bytes(),
        "records_committed": word.account.records_in,
        "records_per_s": progress.map(Progress::records_per_s),
        "rows_late": late(&word.account),
        "rows_dead_lettered": dead_lettered(&word.sides),
        "commits": word.commits,
        "watermark": watermark_ms.map(time),
        "watermark_delay_s": watermark_ms.map(|at_ms| (now_ms() - at_ms) as f64 / 1000.0),
        "lag": progress.map(Progress::lag),
        "partitions": progress.map_or_else(Vec::new, partitions),
        "aggregates": progress.map_or_else(Vec::new, aggregates),
        "next_trigger": newest.and_then(next_trigger_ms).map(time),
        "last_commit": newest.map(commit),
        "swap_over_http": can_change,
    })
}

fn late(account: &Account) -> u64 {
    account.aggregates.values().map(|of| of.late + of.withheld).sum()
}

fn dead_lettered(sides: &SideCounts) -> u64 {
    sides.iter().filter(|(of, _)| !of.is_late).map(|(_, rows)| rows).sum()
}

pub fn plugins(board: &Board) -> Value {
    let Some(plan) = board.handle.plan() else { return json!([]) };
    let one = |stage: crate::plan::StageName| {
        let (plugin, _) = plan.plugin(&stage)?;
        let (usage, mut calls) = (plugin.usage(), Map::new());
        for count in usage.calls() {
            let ns_per_row = count.took.as_nanos() as f64 / count.rows.max(1) as f64;
            let told = json!({ "calls": count.calls(), "rows": count.rows, "ns_per_row": ns_per_row });
            calls.insert(count.callback.to_string(), told);
        }
        let of =
            |plan: &&crate::plan::AggregatePlan| format!("aggregate:{}", plan.spec.name) == stage.to_string();
        Some(json!({
            "stage": stage.to_string(),
            "name": plugin.id().name,
            "digest": plugin.id().digest.hex(),
            "contract": plugin.contract(),
            "state_version": plan.aggregates.iter().find(of).map(|of| of.description.state.version),
            "calls": calls,
            "failures": usage.failures().map(|(kind, calls)| (kind.to_owned(), json!(calls))).collect::<Map<_, _>>(),
            "memory_bytes": usage.memory_bytes(),
        }))
    };
    plan.stages().into_iter().filter_map(one).collect()
}

/// As `host swaps --format json` tells them.
pub fn swaps(board: &Board) -> Answer {
    match board.handle.swap_history().map(|path| swap::read_history(&path)) {
        None => Answer::json(200, &json!([])),
        Some(Ok(history)) => Answer::json(200, &Value::Array(history)),
        Some(Err(error)) => Answer::error(500, &format!("the history of swaps cannot be read: {error:#}")),
    }
}

/// The last ones that this process made, oldest first; only those of an epoch after `after`.
pub fn commits(board: &Board, after: u64) -> Value {
    let word = board.word();
    word.last.iter().filter(|one| one.progress.epoch > after).map(|one| commit(one)).collect()
}

fn state(board: &Board) -> &'static str {
    match board.handle.phase() {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
    }
}

fn partitions(progress: &Progress) -> Vec<Value> {
    let told = progress.partitions.iter().map(|of| {
        json!({
            "partition": of.partition,
            "next_offset": of.next_offset,
            "end_offset": of.end_offset,
            "lag": of.behind(),
        })
    });
    told.collect()
}

fn aggregates(progress: &Progress) -> Vec<Value> {
    let watermark_ms = |of: &Standing| Some(progress.clock_ms?.saturating_sub_unsigned(of.delay_ms));
    let told = progress.aggregates.iter().map(|of| {
        json!({
            "name": of.name,
            "watermark": watermark_ms(of).map(time),
            "closed_through": of.closed_through_ms.map(time),
            "open_windows": of.open_windows,
            "open_groups": of.open_groups,
            "held_windows": of.held_windows,
            "held_groups": of.held_groups,
            "state_bytes": of.state_bytes,
        })
    });
    told.collect()
}

fn next_trigger_ms(commit: &Commit) -> Option<i64> {
    commit.progress.next_trigger.map(|wait| commit.at_ms.saturating_add_unsigned(wait.as_millis() as u64))
}

fn commit(of: &Commit) -> Value {
    let progress = &of.progress;
    let took = PHASES
        .iter()
        .map(|(phase, took)| ((*phase).to_owned(), json!(took(&progress.took).as_secs_f64() * 1000.0)));
    let aggregated: u64 = progress.account.aggregates.values().map(|of| of.aggregated).sum();
    json!({
        "epoch": progress.epoch,
        "at": time(of.at_ms),
        "records": progress.account.records_in,
        "rows_aggregated": aggregated,
        "rows_late": late(&progress.account),
        "rows_dead_lettered": dead_lettered(&progress.sides),
        "lag": progress.lag(),
        "watermark": progress.watermark_ms().map(time),
        "windows": progress.windows,
        "files": progress.files,
        "published_bytes": progress.published_bytes,
        "since_last_ms": progress.took.since_last.as_secs_f64() * 1000.0,
        "took_ms": took.collect::<Map<_, _>>(),
    })
}
