//! The status line of a running job: written over a few times a second on the terminal's last line, with the log above
//! it. A bounded run has a bar and the time that is left.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::job::{JobHandle, Progress};
use crate::logs;

const EVERY: Duration = Duration::from_millis(250);
const PLAIN: &str = "{wide_msg}";
const BAR: &str = "{bar:16} {percent:>3} % {prefix}  {wide_msg}";
/// Over how many of these a rate is taken.
const LOOKS: usize = 12;

/// The line; gone when this is dropped.
pub struct StatusLine {
    last: Arc<Mutex<Option<Told>>>,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The last commit, and when it was told of.
struct Told {
    at: Instant,
    progress: Progress,
}

impl StatusLine {
    /// # Errors
    /// There is no thread to be had.
    pub fn start(name: &str, job: JobHandle) -> anyhow::Result<Self> {
        let (alive, end) = bounded::<()>(0);
        let last = Arc::new(Mutex::new(None));
        let mut painter = Painter {
            name: name.to_owned(),
            job,
            bar: logs::share_terminal(style(PLAIN)),
            looks: VecDeque::new(),
            last: Arc::clone(&last),
        };
        let thread = thread::Builder::new().name("status".to_owned()).spawn(move || {
            while end.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                painter.paint();
            }
            painter.bar.finish_and_clear();
        });
        let thread = thread.context("the thread of the status line cannot be started")?;
        Ok(Self { last, alive: Some(alive), thread: Some(thread) })
    }

    pub fn note(&self, progress: &Progress) {
        let told = Told { at: Instant::now(), progress: progress.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // Its fault, if it met one, is not the job's.
            let _ = thread.join();
        }
    }
}

struct Painter {
    name: String,
    job: JobHandle,
    bar: ProgressBar,
    /// How many records had been taken in, and when.
    looks: VecDeque<(Instant, u64)>,
    last: Arc<Mutex<Option<Told>>>,
}

impl Painter {
    fn paint(&mut self) {
        let taken_in = self.job.taken_in();
        let rate = self.rate(taken_in);
        match self.job.to_read() {
            Some(to_read) => self.paint_bar(taken_in, to_read, rate),
            None => self.bar.set_style(style(PLAIN)),
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let message = format!("{}  {}", self.name, told(taken_in, rate, last.as_ref()));
        drop(last);
        self.bar.set_message(message);
    }

    fn paint_bar(&self, taken_in: u64, to_read: u64, rate: u64) {
        self.bar.set_style(style(BAR));
        self.bar.set_length(to_read);
        self.bar.set_position(taken_in.min(to_read));
        let left = to_read.saturating_sub(taken_in).checked_div(rate).map(Duration::from_secs);
        self.bar.set_prefix(left.map_or_else(String::new, |left| format!("{} left", HumanDuration(left))));
    }

    fn rate(&mut self, taken_in: u64) -> u64 {
        let now = Instant::now();
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((now, taken_in));
        let Some((since, before)) = self.looks.front() else { return 0 };
        let seconds = now.duration_since(*since).as_secs_f64();
        if seconds > 0.0 { ((taken_in - before) as f64 / seconds) as u64 } else { 0 }
    }
}

fn told(taken_in: u64, rate: u64, last: Option<&Told>) -> String {
    let begin = format!("{} rows  {}/s", HumanCount(taken_in), HumanCount(rate));
    let Some(Told { at, progress }) = last else { return format!("{begin}  before the first commit") };
    let of =
        |count: fn(&crate::job::Standing) -> u64| HumanCount(progress.aggregates.iter().map(count).sum());
    let (windows, groups) = (of(|of| of.open_windows), of(|of| of.open_groups));
    let watermark = progress.watermark_ms().and_then(DateTime::<Utc>::from_timestamp_millis);
    let watermark = watermark.map_or("none".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let next = progress.next_trigger.map_or_else(String::new, |wait| {
        format!("  next commit in {} s", wait.saturating_sub(at.elapsed()).as_secs())
    });
    let lag = HumanCount(progress.lag());
    format!("{begin}  lag {lag}  watermark {watermark}  {windows} windows, {groups} groups open{next}")
}

/// The templates are constants; one that were wrong would show the plain bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{PartitionStep, Standing};

    fn progress() -> Progress {
        let standing = Standing {
            name: "daily".into(),
            delay_ms: 3_600_000,
            closed_through_ms: None,
            open_windows: 2,
            open_groups: 4_000,
            held_windows: 0,
            held_groups: 0,
            state_bytes: 1,
        };
        let step = |partition, next_offset| PartitionStep {
            partition,
            from_offset: 0,
            next_offset,
            end_offset: 9_000,
        };
        Progress {
            clock_ms: Some(1_763_640_000_000),
            partitions: vec![step(0, 8_000), step(1, 9_001)],
            aggregates: vec![standing],
            next_trigger: Some(Duration::from_secs(10)),
            ..Progress::default()
        }
    }

    #[test]
    fn the_line_says_rate_lag_watermark_what_is_open_and_when_the_next_commit_is() {
        let told = |last| told(1_234_567, 45_000, last);
        assert_eq!(told(None), "1,234,567 rows  45,000/s  before the first commit");
        let last = Told { at: Instant::now(), progress: progress() };
        let said = told(Some(&last));
        let expected = "1,234,567 rows  45,000/s  lag 1,000  watermark 2025-11-20T11:00:00Z  2 windows, 4,000 groups open";
        assert!(said.starts_with(expected) && said.contains("next commit in "), "{said}");
    }

    #[test]
    fn the_templates_are_ones() {
        for template in [PLAIN, BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
