//! A round with two owners: the first stops itself at a step of a commit, its lock file is removed, a second
//! one starts and commits, and the first is woken. It must find itself fenced and commit nothing more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use speed_layer_tests::host::Running;

use crate::field::{Field, passed};
use crate::program::{JOB, Job, LIMIT, any_passing};

const TRIES: u32 = 6;
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Plays the round.
///
/// # Errors
/// A rule is broken, or the point does not fire.
pub fn play(field: &mut Field, name: &str, point: &str, rng: &mut Rng) -> Result<()> {
    let (job, first) = stop_at_point(field, name, point, rng)?;
    field.readers.look()?;
    fs::remove_file(job.folder.join("checkpoint").join(JOB).join("lock")).context("the lock file")?;
    let mut second = job.start("available-now", None)?;
    // Where all is read already, the seal of its end is its only commit.
    let goes_on = second.wait_for("committed", LIMIT).is_ok() && rng.bool();
    let second = if goes_on { Some(second) } else { end_well(second).map(|()| None)? };
    let before = first_owners_files(&job.folder)?;
    let sealed = checkpoints(&job.folder)?;
    first.signal("CONT")?;
    let fenced = first.finish(LIMIT)?;
    let is_fenced =
        fenced.status.code() == Some(1) && fenced.stderr.contains("belongs to another process now");
    ensure!(is_fenced && fenced.stdout.is_empty(), "the first owner was not fenced: {}", fenced.told());
    let after = first_owners_files(&job.folder)?;
    ensure!(before == after, "the first owner went on publishing: {:?}", after.symmetric_difference(&before));
    match second {
        Some(second) => end_well(second)?,
        None => ensure!(
            checkpoints(&job.folder)?.is_subset(&sealed),
            "the first owner sealed something after the second had ended"
        ),
    }
    field.tally.fenced += 1;
    job.complete()?;
    let truth = Rc::clone(&field.truth);
    field.judge(job, &truth)
}

fn end_well(running: Running) -> Result<()> {
    running.finish(LIMIT)?.summary().map(|_| ())
}

fn stop_at_point(field: &mut Field, name: &str, point: &str, rng: &mut Rng) -> Result<(Job, Running)> {
    // One of the first half, so that the second owner mostly finds something left to read.
    let mut count = passed(&field.passed_fresh, point) / 2;
    for _ in 0..TRIES {
        let job = field.job(name)?;
        field.readers.begin(&job.folder)?;
        let passing = any_passing(count, rng);
        let mut first = job.start("available-now", Some(&format!("{point}=stop@{passing}")))?;
        if first.wait_for(&format!("failpoint {point} "), LIMIT).is_ok() {
            wait_until_stopped(first.id())?;
            *field.tally.fired.entry(point.to_owned()).or_default() += 1;
            return Ok((job, first));
        }
        count = passing / 2;
    }
    bail!("{point} does not fire")
}

/// Waits until the kernel says that every thread of the process stands still.
fn wait_until_stopped(process: u32) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !is_stopped(process)? {
        ensure!(Instant::now() < deadline, "process {process} does not stop");
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn is_stopped(process: u32) -> Result<bool> {
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = fs::read_to_string(thread?.path().join("stat"))?;
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state != Some('T') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The names of the checkpoints.
fn checkpoints(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder.join("checkpoint").join(JOB))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("ckpt-") && !name.contains(".g") {
            found.insert(name);
        }
    }
    ensure!(!found.is_empty(), "there is no checkpoint in {}", folder.display());
    Ok(found)
}

/// The published files whose names say that the first generation made them.
fn first_owners_files(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for output in ["out", "out.dead-letters", "out.late"] {
        for file in speed_layer_tests::parquet_table::files(&folder.join(output))? {
            let path = file.display().to_string();
            if path.contains(&format!("part-{JOB}-g1-")) {
                found.insert(path);
            }
        }
    }
    Ok(found)
}
