//! An aggregate's windows on the console: a table for each commit that has some, printed on stdout from a thread of its
//! own. Who does not read in time is told what was left out; the stream does not wait.

use std::io::Write;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::warn;

use super::FINAL;
use super::table::table;
use crate::config::{OutputMode, WindowConsole};
use crate::logs;

/// Tables that wait to be printed.
const TABLES_MAX: usize = 16;

/// The windows of one aggregate in one commit.
pub struct WindowTable {
    aggregate: String,
    epoch: u64,
    console: WindowConsole,
    rows: Vec<RecordBatch>,
    left_out: usize,
}

impl WindowTable {
    pub fn new(aggregate: &str, epoch: u64, console: &WindowConsole) -> Self {
        let (aggregate, console) = (aggregate.to_owned(), console.clone());
        Self { aggregate, epoch, console, rows: Vec::new(), left_out: 0 }
    }

    pub fn mode(&self) -> OutputMode {
        self.console.mode
    }

    /// How many rows it has place for.
    pub fn rows_left(&self) -> usize {
        self.console.rows - self.rows.iter().map(RecordBatch::num_rows).sum::<usize>()
    }

    /// Takes rows up to its limit; `is_final` of windows that are closed.
    ///
    /// # Errors
    /// A column that it shows is not there.
    pub fn add(&mut self, rows: &RecordBatch, is_final: bool) -> anyhow::Result<()> {
        let taken = rows.num_rows().min(self.rows_left());
        self.left_out += rows.num_rows() - taken;
        if taken > 0 {
            self.rows.push(self.shown(&rows.slice(0, taken), is_final)?);
        }
        Ok(())
    }

    /// So many rows more were not even made.
    pub fn leave_out(&mut self, rows: usize) {
        self.left_out += rows;
    }

    fn shown(&self, rows: &RecordBatch, is_final: bool) -> anyhow::Result<RecordBatch> {
        let field = Arc::new(Field::new(FINAL, DataType::Boolean, false));
        let fields = rows.schema_ref().fields().iter().cloned().chain([field]);
        let finals = Arc::new(BooleanArray::from(vec![is_final; rows.num_rows()]));
        let columns = rows.columns().iter().cloned().chain([finals as _]).collect();
        let all = RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)?;
        if self.console.columns.is_empty() {
            return Ok(all);
        }
        let places = self.console.columns.iter().map(|name| all.schema_ref().index_of(name));
        Ok(all.project(&places.collect::<Result<Vec<_>, _>>()?)?)
    }

    /// `None` where the commit had no window for it.
    fn text(&self) -> Option<String> {
        if self.rows.is_empty() {
            return None;
        }
        let Self { aggregate, epoch, console, .. } = self;
        let left_out = match self.left_out {
            0 => String::new(),
            more => format!("and {more} more\n"),
        };
        let mode = console.mode.name();
        Some(format!("{aggregate}, epoch {epoch}, {mode}:\n{}{left_out}\n", table(&self.rows)))
    }
}

/// Prints tables; dropping it prints what is left to print.
#[derive(Default)]
pub struct WindowPrinter {
    thread: Option<(Sender<String>, JoinHandle<()>)>,
    unread: usize,
}

impl WindowPrinter {
    /// # Errors
    /// There is no thread to be had.
    pub fn show<'a>(&mut self, tables: impl IntoIterator<Item = &'a WindowTable>) -> anyhow::Result<()> {
        for text in tables.into_iter().filter_map(WindowTable::text) {
            if self.sender()?.try_send(text).is_err() {
                self.unread += 1;
                if self.unread.is_power_of_two() {
                    warn!(tables = self.unread, "windows were not shown, since nobody reads stdout");
                }
            }
        }
        Ok(())
    }

    fn sender(&mut self) -> anyhow::Result<&Sender<String>> {
        if self.thread.is_none() {
            let (sender, texts) = bounded(TABLES_MAX);
            let thread = thread::Builder::new().name("windows".to_owned()).spawn(move || print(&texts));
            self.thread = Some((sender, thread.context("the thread of the console cannot be started")?));
        }
        self.thread.as_ref().map(|(sender, _)| sender).context("the console has no thread")
    }
}

impl Drop for WindowPrinter {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // Its fault, if it met one, is not the job's.
            let _ = thread.join();
        }
    }
}

fn print(texts: &Receiver<String>) {
    for text in texts {
        if let Err(error) = logs::above_status(|| std::io::stdout().write_all(text.as_bytes())) {
            warn!("windows cannot be shown on stdout: {error}");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;

    use super::*;

    fn rows(values: &[i64]) -> RecordBatch {
        let column = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter([("a", column.clone() as _), ("b", column as _)]).unwrap()
    }

    fn check(columns: &[&str], rows_max: usize, expected: &str) {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let console = WindowConsole { mode: OutputMode::Update, columns, rows: rows_max };
        let mut shown = WindowTable::new("daily", 7, &console);
        assert_eq!(shown.text(), None);
        shown.add(&rows(&[1, 2]), true).unwrap();
        shown.add(&rows(&[3, 4]), false).unwrap();
        shown.leave_out(5);
        assert_eq!(shown.text().as_deref(), Some(expected));
    }

    #[test]
    fn a_commits_windows_are_a_table_that_says_which_are_closed_and_how_many_it_left_out() {
        let whole = "daily, epoch 7, update:\na  b  final\n-  -  -----\n1  1  true\n2  2  true\n3  3  false\nand 6 more\n\n";
        check(&[], 3, whole);
        check(&["final", "b"], 1, "daily, epoch 7, update:\nfinal  b\n-----  -\ntrue   1\nand 8 more\n\n");
    }
}
