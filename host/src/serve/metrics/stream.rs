//! What comes in and where it goes: records, partitions, rows by their fate, what is open.

use super::seconds;
use super::text::{Kind, Text};
use crate::job::{PartitionStep, Standing, now_ms};
use crate::serve::board::{Board, Word};

/// A name, its help, and where the value is found.
type Gauge<T, V> = (&'static str, &'static str, fn(&T) -> V);

pub fn tell(text: &mut Text, board: &Board, word: &Word) {
    read(text, board, word);
    partitions(text, word);
    rows(text, word);
    left_the_line(text, word);
    aggregates(text, word);
}

fn read(text: &mut Text, board: &Board, word: &Word) {
    let handle = &board.handle;
    let counters = [
        ("records_read_total", "Records read from the topic, committed or not.", handle.taken_in()),
        ("read_bytes_total", "Bytes of their keys and values.", handle.taken_in_bytes()),
        ("records_committed_total", "Records that commits took in.", word.account.records_in),
        ("rows_parsed_total", "Rows that the parser made of them.", word.account.rows_parsed),
        ("rows_filtered_total", "Rows that transforms left out.", word.account.rows_filtered),
    ];
    counters.into_iter().for_each(|(name, help, value)| text.single(name, Kind::Counter, help, value));
}

fn partitions(text: &mut Text, word: &Word) {
    let steps = word.newest().map_or(&[][..], |commit| &commit.progress.partitions);
    let gauges: [Gauge<PartitionStep, i64>; 3] = [
        ("partition_next_offset", "The offset that is read next, as of the last commit.", |of| {
            of.next_offset
        }),
        (
            "partition_end_offset",
            "The end of the partition when it was last heard of; in a bounded run where it ends.",
            |of| of.end_offset,
        ),
        ("partition_lag_records", "Offsets still to be read, as of the last commit.", |of| {
            of.behind() as i64
        }),
    ];
    for (name, help, value) in gauges {
        text.family(name, Kind::Gauge, help);
        steps.iter().for_each(|of| text.sample(&[("partition", &of.partition.to_string())], value(of)));
    }
}

fn rows(text: &mut Text, word: &Word) {
    text.family("rows_aggregated_total", Kind::Counter, "Rows folded into windows.");
    for (name, of) in &word.account.aggregates {
        text.sample(&[("aggregate", name)], of.aggregated);
    }
}

fn left_the_line(text: &mut Text, word: &Word) {
    let families = [
        (
            true,
            "rows_late_total",
            "Rows of windows that were closed (late) or begun without the aggregate (withheld).",
        ),
        (
            false,
            "rows_dead_lettered_total",
            "Records and rows that were refused, by the stage and its reason.",
        ),
    ];
    for (is_late, name, help) in families {
        text.family(name, Kind::Counter, help);
        for (of, rows) in word.sides.iter().filter(|(of, _)| of.is_late == is_late) {
            let aggregate = of.aggregate.as_deref().unwrap_or_default();
            text.sample(&[("stage", &of.stage), ("aggregate", aggregate), ("reason", &of.kind)], rows);
        }
    }
    let help = "Groups whose result was dead-lettered.";
    text.single("groups_dead_lettered_total", Kind::Counter, help, word.account.groups_dead_lettered);
}

fn aggregates(text: &mut Text, word: &Word) {
    let progress = word.newest().map(|commit| &commit.progress);
    let standings = progress.map_or(&[][..], |progress| &progress.aggregates);
    let clock_ms = progress.and_then(|progress| progress.clock_ms);
    let watermark_s = |of: &Standing| Some(seconds(clock_ms?.saturating_sub_unsigned(of.delay_ms)));
    let now_s = seconds(now_ms());
    text.family("watermark_timestamp_seconds", Kind::Gauge, "The watermark, seconds since 1970 UTC.");
    for (of, at_s) in standings.iter().filter_map(|of| Some((of, watermark_s(of)?))) {
        text.sample(&[("aggregate", &of.name)], at_s);
    }
    text.family(
        "watermark_delay_seconds",
        Kind::Gauge,
        "How far the watermark is behind the clock on the wall.",
    );
    for (of, at_s) in standings.iter().filter_map(|of| Some((of, watermark_s(of)?))) {
        text.sample(&[("aggregate", &of.name)], now_s - at_s);
    }
    let gauges: [Gauge<Standing, u64>; 5] = [
        ("open_windows", "Windows that are open after the last commit.", |of| of.open_windows),
        ("open_groups", "Groups in them: one a window and key.", |of| of.open_groups),
        ("held_windows", "Windows that are closed and not published yet.", |of| of.held_windows),
        ("held_groups", "Groups in them.", |of| of.held_groups),
        ("open_groups_bytes", "Memory of the states of all of them.", |of| of.state_bytes),
    ];
    for (name, help, value) in gauges {
        text.family(name, Kind::Gauge, help);
        standings.iter().for_each(|of| text.sample(&[("aggregate", &of.name)], value(of)));
    }
}
