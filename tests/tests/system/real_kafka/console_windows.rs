//! An aggregate's windows on stdout: with each commit those that it closed, that it changed, or all that are open.

use std::collections::BTreeMap;

use chrono::DateTime;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Group, Table, Value};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS};

const PIPELINE: &str = r#"
checkpoint = "{folder}/checkpoint"
max_records_per_trigger = 1000
{stages}
[[aggregate]]
name = "daily"
plugin = "{plugins}/ohlcv.wasm"
sink = [{ type = "parquet", path = "{folder}/output/daily" }, { type = "console", CONSOLE }]
"#;

/// What one commit shows: its title, the names, and the cells of each row; and the line below.
struct Shown {
    title: String,
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    below: Option<String>,
}

/// Six commits over three days of two symbols.
fn records(topic: &str) -> Vec<Placed> {
    let records = Plan { rows: 6_000, days: 3, symbols: 2, ..Plan::default() }.records(1, Spread::InTurn);
    kafka::shared().topic_of(topic, 1, &records);
    records
}

fn shown(topic: &str, console: &str) -> Vec<Shown> {
    let job = Job::new(kafka::shared(), topic).pipeline(&PIPELINE.replace("CONSOLE", console));
    let finished = job.run().expect("it ends");
    finished.summary().expect("it ends well");
    let (text, _) = finished.stdout.rsplit_once('\n').expect("more than the summary");
    text.split("\n\n").filter(|text| !text.trim().is_empty()).map(table).collect()
}

fn table(text: &str) -> Shown {
    let mut lines = text.trim().lines();
    let title = lines.next().expect("a title").to_owned();
    let mut cells = lines.clone().filter(|line| !line.starts_with("and ")).map(words);
    let names = cells.next().expect("names");
    let rows = cells.skip(1).collect();
    Shown {
        title,
        names,
        rows,
        below: lines.next_back().filter(|line| line.starts_with("and ")).map(str::to_owned),
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

impl Shown {
    fn cell<'a>(&'a self, row: &'a [String], name: &str) -> &'a str {
        let at = self
            .names
            .iter()
            .position(|of| of == name)
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.names));
        &row[at]
    }

    fn groups(&self) -> impl Iterator<Item = (Group, u64, bool)> {
        self.rows.iter().map(|row| {
            let start = DateTime::parse_from_rfc3339(self.cell(row, "window_start")).expect("a time");
            let group = (Some(self.cell(row, "symbol").to_owned()), start.timestamp_millis());
            let ticks = self.cell(row, "tick_count").parse().expect("a number");
            (group, ticks, self.cell(row, "final") == "true")
        })
    }
}

fn ticks_of(table: &Table) -> BTreeMap<Group, u64> {
    let ticks = |row: &speed_layer_tests::table::Row| match row["tick_count"] {
        Value::Int(ticks) => ticks as u64,
        ref other => panic!("{other:?} is no number"),
    };
    table.iter().map(|(group, row)| (group.clone(), ticks(row))).collect()
}

#[test]
fn in_append_mode_a_window_is_shown_once_when_it_is_closed() {
    let records = records("shown-append");
    let tables = shown("shown-append", "mode = \"append\"");
    assert!(tables.iter().all(|of| of.title.starts_with("daily, epoch ") && of.title.ends_with(", append:")));
    let rows: Vec<_> = tables.iter().flat_map(Shown::groups).collect();
    assert!(rows.iter().all(|(_, _, is_final)| *is_final), "{rows:?}");
    let expected = closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms(&records, HOUR_MS));
    let found: BTreeMap<_, _> = rows.iter().map(|(group, ticks, _)| (group.clone(), *ticks)).collect();
    assert_eq!((found, rows.len()), (ticks_of(&expected), 4));
}

#[test]
fn in_update_mode_the_last_that_is_shown_of_a_window_is_what_it_holds() {
    let records = records("shown-update");
    let tables = shown("shown-update", "mode = \"update\"");
    assert_eq!(tables.len(), 6);
    let last: BTreeMap<_, _> =
        tables.iter().flat_map(Shown::groups).map(|(group, ticks, _)| (group, ticks)).collect();
    assert_eq!(last, ticks_of(&ohlcv(&records, DAY_MS, "daily")));
    let closed: Vec<_> = tables.iter().flat_map(Shown::groups).filter(|(_, _, is_final)| *is_final).collect();
    assert_eq!(closed.len(), 4, "{closed:?}");
}

#[test]
fn in_complete_mode_all_open_windows_are_shown_up_to_a_limit_and_the_others_counted() {
    records("shown-complete");
    let console =
        "mode = \"complete\", rows = 1, columns = [\"tick_count\", \"symbol\", \"window_start\", \"final\"]";
    let tables = shown("shown-complete", console);
    assert_eq!(tables.len(), 6);
    for table in &tables {
        assert_eq!(table.names, ["tick_count", "symbol", "window_start", "final"]);
        assert_eq!(table.rows.len(), 1, "{:?}", table.rows);
        let below = table.below.as_deref().expect("there are more");
        assert!(["and 1 more", "and 3 more"].contains(&below), "{below}");
    }
}

#[test]
fn columns_that_the_windows_do_not_have_are_refused_with_the_nearest() {
    records("shown-refused");
    let pipeline = PIPELINE.replace("CONSOLE", "columns = [\"tick_cuont\"]");
    let finished = Job::new(kafka::shared(), "shown-refused").pipeline(&pipeline).run().expect("it ends");
    assert_eq!(finished.status.code(), Some(1), "{}", finished.told());
    for part in ["`tick_cuont`", "did you mean `tick_count`?", "aggregate daily"] {
        assert!(finished.stderr.contains(part), "{part}: {}", finished.told());
    }
}
