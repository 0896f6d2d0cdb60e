//! A round for one point: the job dies there at some passing, is started again, perhaps dies again at
//! another, preferably while it is being brought back, and is at last run to its end.

use std::rc::Rc;

use anyhow::{Result, bail};
use fastrand::Rng;

use crate::field::{Field, passed};
use crate::program::{End, Job, Point, any_passing, kill_at};

const TRIES: u32 = 6;
const FURTHER_KILLS_MAX: usize = 2;

/// Plays the round.
///
/// # Errors
/// A rule is broken, or the point does not fire.
pub fn play(field: &mut Field, name: &str, point: &str, rng: &mut Rng) -> Result<()> {
    let job = kill_at_point(field, name, point, rng)?;
    for _ in 0..rng.usize(..=FURTHER_KILLS_MAX) {
        field.readers.look()?;
        if !kill_again(field, &job, rng)? {
            break;
        }
    }
    field.readers.look()?;
    job.complete()?;
    let truth = Rc::clone(&field.truth);
    field.judge(job, &truth)
}

/// How often a point is passed differs from run to run, so the passing that was drawn may not come; then
/// an earlier one is tried.
fn kill_at_point(field: &mut Field, name: &str, point: &str, rng: &mut Rng) -> Result<Job> {
    let is_fresh = field.is_passed_fresh(point) && (rng.bool() || passed(&field.passed_again, point) == 0);
    let counts = if is_fresh { &field.passed_fresh } else { &field.passed_again };
    let mut count = passed(counts, point);
    for _ in 0..TRIES {
        let job = field.job(name)?;
        field.readers.begin(&job.folder)?;
        if !is_fresh {
            field.kill_before_start(&job, rng.u64(2..=6))?;
            field.readers.look()?;
        }
        let passing = any_passing(count, rng);
        match job.run(Some(&kill_at(point, passing)))? {
            End::Killed(at) if at.as_deref() == Some(point) => {
                field.tally.killed(at.as_deref());
                return Ok(job);
            }
            End::Killed(at) => bail!("it was to be killed at {point} and was at {at:?}"),
            End::Done(_) => count = passing / 2,
        }
    }
    bail!("{point} does not fire")
}

/// Lets it die once more at some point; false when it came to its end before.
///
/// # Errors
/// It ends in no order, other than by the kill.
pub fn kill_again(field: &mut Field, job: &Job, rng: &mut Rng) -> Result<bool> {
    let at_start = rng.bool();
    let is_special = |point: &Point| point.is_of_swap() || point.is_of_outbox();
    let is_wanted = |point: &&Point| !is_special(point) && (!at_start || point.stage == "Start");
    let wanted: Vec<_> = field.points.iter().filter(is_wanted).collect();
    let Some(point) = rng.choice(&wanted) else { return Ok(false) };
    let passing = any_passing(passed(&field.passed_again, &point.name), rng);
    let end = job.run(Some(&kill_at(&point.name, passing)))?;
    Ok(field.was_killed(&end))
}
