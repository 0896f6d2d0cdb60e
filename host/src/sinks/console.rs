//! Prints the stream's last rows on stdout now and then, from a thread of its own: the stream does not wait for
//! whoever reads them. Where nothing new has come, nothing is printed.

use std::io::Write;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::table::table;
use crate::config::JobSpec;
use crate::job::JobHandle;
use crate::logs;

/// The tables of a job; dropping it prints what is left to print.
pub struct Console {
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Console {
    /// `None` for a job without one.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(spec: &JobSpec, job: &JobHandle) -> anyhow::Result<Option<Self>> {
        let Some(console) = &spec.console else { return Ok(None) };
        let (every, job) = (Duration::from_millis(console.every_ms), job.clone());
        let (alive, end) = bounded::<()>(0);
        let thread = thread::Builder::new().name("console".to_owned()).spawn(move || {
            let mut printed = 0;
            while end.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                print(&job, &mut printed);
            }
            print(&job, &mut printed);
        });
        let thread = thread.context("the thread of the console cannot be started")?;
        Ok(Some(Self { alive: Some(alive), thread: Some(thread) }))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // Its fault, if it met one, is not the job's.
            let _ = thread.join();
        }
    }
}

/// `printed`: rows that had come by then.
fn print(job: &JobHandle, printed: &mut u64) {
    let Some(tail) = job.tail().filter(|tail| tail.seen() > *printed) else { return };
    *printed = tail.seen();
    let text = table(tail.parts()) + "\n";
    let written = logs::above_status(|| std::io::stdout().write_all(text.as_bytes()));
    if let Err(error) = written {
        tracing::warn!("the last rows cannot be shown on stdout: {error}");
    }
}
