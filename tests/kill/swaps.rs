//! A round for a step of a swap: a running job is asked for another plugin and dies there, and its
//! configured file is replaced before it starts again. It must go on with the plugin that its newest
//! checkpoint names: the old one before the seal, the new one from there on.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use serde_json::Value;
use speed_layer_tests::components::{ids, variant};
use speed_layer_tests::host;
use speed_layer_tests::places;

use crate::field::Field;
use crate::points::kill_again;
use crate::program::{End, Job, LIMIT, Point, ended, kill_at};

const TRIES: u32 = 6;
/// Some seconds of records, at 1,000 a trigger.
const TRIGGER: &str = "100ms";
/// From here on the new plugin is the committed one.
const SEALED: [&str; 4] = ["swap.sealed", "swap.replied", "swap.before_history", "swap.after_history"];
const AGGREGATE: &str = "aggregate:ids";

/// What is swapped.
struct Change {
    stage: &'static str,
    /// The file's name that the job is configured with.
    file: &'static str,
    component: Vec<u8>,
}

/// Plays the round.
///
/// # Errors
/// A rule is broken, or the point does not fire.
pub fn play(field: &mut Field, name: &str, point: &Point, rng: &mut Rng) -> Result<()> {
    let change = change(point, rng)?;
    let job = kill_in_swap(field, name, &point.name, &change)?;
    let named = plugins(&job, change.stage)?;
    let expected = if SEALED.contains(&point.name.as_str()) { 2 } else { 1 };
    ensure!(named.len() == expected, "at {} the checkpoint names {named:?} for {}", point.name, change.stage);
    let replaced = if rng.bool() { variant(&change.component, "replaced") } else { b"no component".to_vec() };
    fs::write(job.folder.join(change.file), replaced)?;
    if rng.bool() {
        field.readers.look()?;
        kill_again(field, &job, rng)?;
    }
    field.readers.look()?;
    job.complete()?;
    let after = plugins(&job, change.stage)?;
    ensure!(after == named, "the start went on with {after:?}, and the checkpoint named {named:?}");
    check_history(&job, change.stage, &named)?;
    let truth = Rc::clone(&field.truth);
    field.judge(job, &truth)
}

fn change(point: &Point, rng: &mut Rng) -> Result<Change> {
    let aggregate = |component| Change { stage: AGGREGATE, file: "ids.wasm", component };
    if point.is_of_revert() {
        return Ok(aggregate(ids("failing")?));
    }
    let other = |stage, file: &'static str| -> Result<Change> {
        Ok(Change {
            stage,
            file,
            component: variant(&fs::read(places::target().join("plugins").join(file))?, "swapped"),
        })
    };
    match rng.u32(..4) {
        0 => Ok(aggregate(variant(&ids("plain")?, "swapped"))),
        1 => Ok(aggregate(ids("renamed")?)),
        2 => other("parse", "ticker_json.wasm"),
        _ => other("transform:0", "ticker_time.wasm"),
    }
}

/// Starts a job over files of its own, and asks it for the swap that it dies in. Where the stream has run
/// dry before, a step that needs rows is not passed; then it is tried again.
fn kill_in_swap(field: &mut Field, name: &str, point: &str, change: &Change) -> Result<Job> {
    for _ in 0..TRIES {
        let job = field.job(name)?;
        job.own_plugins()?;
        field.readers.begin(&job.folder)?;
        let new = job.folder.join("new.wasm");
        fs::write(&new, &change.component)?;
        let mut running = job.start(TRIGGER, Some(&kill_at(point, 1)))?;
        running.wait_for("committed", LIMIT)?;
        let asked = swap(&job, change.stage, &new)?;
        // One that has killed itself hears it no more.
        let _ = running.signal("TERM");
        let finished = running.finish(LIMIT)?;
        let log = finished.told();
        match ended(finished)? {
            End::Killed(at) if at.as_deref() == Some(point) => {
                field.tally.killed(at.as_deref());
                return Ok(job);
            }
            End::Killed(at) => bail!("it was to be killed at {point} and was at {at:?}"),
            End::Done(_) => ensure!(!asked.contains("refused"), "the swap was refused: {asked}\n{log}"),
        }
    }
    bail!("{point} does not fire")
}

/// What the program says to it: whoever asks a job that dies hears that, too.
fn swap(job: &Job, stage: &str, new: &Path) -> Result<String> {
    let (checkpoint, new) = (checkpoints(job), new.display().to_string());
    Ok(host::run(&["swap", "--checkpoint", &checkpoint, "--stage", stage, &new], LIMIT)?.told())
}

fn checkpoints(job: &Job) -> String {
    job.folder.join("checkpoint").display().to_string()
}

fn listed(words: &[&str]) -> Result<Value> {
    let finished = host::run(words, LIMIT)?;
    ensure!(finished.status.success(), "{}", finished.told());
    serde_json::from_str(&finished.stdout).with_context(|| finished.told())
}

/// The digests that the newest checkpoint names for a stage, the present one last.
fn plugins(job: &Job, stage: &str) -> Result<Vec<String>> {
    let shown = listed(&["checkpoint", "show", "--format", "json", "--checkpoint", &checkpoints(job)])?;
    let uses = match stage.strip_prefix("aggregate:") {
        Some(name) => find(&shown["aggregates"], "name", name),
        None => find(&shown["stages"], "stage", stage),
    };
    let uses =
        uses.and_then(|of| of["plugins"].as_array()).with_context(|| format!("no {stage} in {shown:#}"))?;
    Ok(uses.iter().filter_map(|one| one["digest"].as_str().map(str::to_owned)).collect())
}

fn find<'a>(list: &'a Value, field: &str, wanted: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|one| one[field] == wanted)
}

/// The history must know the swaps that the checkpoint knows, also the one whose process did not live to
/// write it down.
fn check_history(job: &Job, stage: &str, named: &[String]) -> Result<()> {
    let history = listed(&["swaps", "--format", "json", "--checkpoint", &checkpoints(job)])?;
    let is_swap = |line: &&Value| line["stage"] == stage && line["outcome"] == "swapped";
    let made = history.as_array().into_iter().flatten().filter(is_swap);
    let made: Vec<[Value; 2]> =
        made.map(|line| [line["from"]["digest"].clone(), line["to"]["digest"].clone()]).collect();
    let known: Vec<[Value; 2]> =
        named.windows(2).map(|pair| [pair[0].as_str().into(), pair[1].as_str().into()]).collect();
    ensure!(made == known, "the history has {made:?}, the checkpoint {known:?}");
    Ok(())
}
