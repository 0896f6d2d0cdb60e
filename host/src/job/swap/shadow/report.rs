//! What a shadow has found.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde::Serialize;

use crate::compare::{CompareError, Comparison, compare};
use crate::job::open_windows::GroupNote;
use crate::stages::OFFERED_KEY;

/// Two plugins over the same batches. Comparisons name the running one's side old.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ShadowReport {
    /// Nothing differs but for columns that only the new plugin has.
    pub equal: bool,
    pub batches: u64,
    pub records: u64,
    /// The rows offered to the aggregates, for a parser or a transform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Comparison>,
    /// Dead letters and late rows.
    pub set_aside: Comparison,
    /// Of each aggregate.
    pub windows: Vec<WindowsReport>,
    /// CPU time of all stages, merging and finishing not included.
    pub old_ns_per_record: u64,
    pub new_ns_per_record: u64,
    #[serde(skip)]
    spent: [Duration; 2],
}

/// The rows of one aggregate's groups.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct WindowsReport {
    pub aggregate: String,
    /// Of windows that closed meanwhile, as they were published.
    pub closed: Comparison,
    /// Of groups that had rows meanwhile and were open at the end, finished for nothing.
    pub open: Comparison,
    /// What `finish` noted of groups, which become dead letters.
    pub notes: Comparison,
}

impl ShadowReport {
    pub fn new<'a>(aggregates: impl Iterator<Item = &'a str>) -> Self {
        let windows = |name: &str| WindowsReport { aggregate: name.to_owned(), ..WindowsReport::default() };
        Self { windows: aggregates.map(windows).collect(), ..Self::default() }
    }

    /// Compares the rows of a batch that the aggregates were offered; a side whose stages
    /// failed on every one of them has none.
    pub fn add_rows(
        &mut self,
        old: Option<&RecordBatch>,
        new: Option<&RecordBatch>,
    ) -> Result<(), CompareError> {
        let Some(any) = old.or(new) else { return Ok(()) };
        let none = RecordBatch::new_empty(any.schema());
        let comparison = compare(old.unwrap_or(&none), new.unwrap_or(&none), &OFFERED_KEY)?;
        self.rows.get_or_insert_default().add(comparison);
        Ok(())
    }

    pub fn count(&mut self, records: usize, old: Duration, new: Duration) {
        self.batches += 1;
        self.records += records as u64;
        self.spent[0] += old;
        self.spent[1] += new;
    }

    /// The same with everything that follows from all batches.
    pub fn concluded(mut self) -> Self {
        let per_record = |spent: Duration| spent.as_nanos() as u64 / self.records.max(1);
        (self.old_ns_per_record, self.new_ns_per_record) =
            (per_record(self.spent[0]), per_record(self.spent[1]));
        let windows = self.windows.iter().flat_map(|of| [&of.closed, &of.open, &of.notes]);
        self.equal = windows.chain(&self.rows).chain([&self.set_aside]).all(Comparison::is_equal);
        self
    }
}

impl WindowsReport {
    pub fn note(&mut self, old: &[GroupNote], new: &[GroupNote]) -> Result<(), CompareError> {
        if !old.is_empty() || !new.is_empty() {
            self.notes.add(compare(&note_rows(old)?, &note_rows(new)?, &["group", "window_start"])?);
        }
        Ok(())
    }
}

fn note_rows(notes: &[GroupNote]) -> Result<RecordBatch, CompareError> {
    let text = |of: fn(&GroupNote) -> &str| -> ArrayRef {
        Arc::new(notes.iter().map(|note| Some(of(note))).collect::<StringArray>())
    };
    let starts = TimestampMicrosecondArray::from_iter_values(notes.iter().map(|note| note.window_start_us));
    let columns: [(&str, ArrayRef); 4] = [
        ("group", text(|note| &note.group)),
        ("window_start", Arc::new(starts.with_timezone("UTC"))),
        ("kind", text(|note| &note.kind)),
        ("message", text(|note| &note.message)),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(group: &str, message: &str) -> GroupNote {
        GroupNote { group: group.into(), window_start_us: 0, kind: "cut".into(), message: message.into() }
    }

    #[test]
    fn a_difference_anywhere_is_a_difference() {
        let report = || ShadowReport::new(["daily"].into_iter());
        assert!(report().concluded().equal);
        let one = Comparison { only_new: 1, ..Comparison::default() };
        let places: [fn(&mut ShadowReport) -> &mut Comparison; 5] = [
            |of| &mut of.set_aside,
            |of| of.rows.get_or_insert_default(),
            |of| &mut of.windows[0].closed,
            |of| &mut of.windows[0].open,
            |of| &mut of.windows[0].notes,
        ];
        for place in places {
            let mut differing = report();
            *place(&mut differing) = one.clone();
            assert!(!differing.concluded().equal);
        }
    }

    #[test]
    fn notes_are_compared_by_group_and_window() {
        let mut windows = WindowsReport::default();
        windows.note(&[], &[]).unwrap();
        assert_eq!(windows.notes, Comparison::default());
        windows.note(&[note("a", "x"), note("b", "x")], &[note("b", "y")]).unwrap();
        assert_eq!((windows.notes.both, windows.notes.only_old), (1, 1));
        assert_eq!(windows.notes.columns.iter().map(|of| of.differing).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn time_is_told_per_record() {
        let mut report = ShadowReport::new(std::iter::empty());
        report.count(1_000, Duration::from_micros(500), Duration::from_micros(700));
        report.count(1_000, Duration::from_micros(500), Duration::from_micros(700));
        let report = report.concluded();
        assert_eq!((report.batches, report.records), (2, 2_000));
        assert_eq!((report.old_ns_per_record, report.new_ns_per_record), (500, 700));
    }
}
