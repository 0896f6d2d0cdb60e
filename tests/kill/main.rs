//! `kill`: kills the real program over a real Kafka at every failpoint and at random times, while DuckDB,
//! Polars and pyarrow read its outputs, and counts record ids in the end. `cargo xtask kill` builds it and
//! the program, and starts it.
//!
//! A round is told by its name and its seed; what the machine's scheduler does is not repeated by it.

#![forbid(unsafe_code)]

mod fence;
mod field;
mod load;
mod oracle;
mod outbox;
mod points;
mod program;
mod readers;
mod records;
mod report;
mod swaps;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;

use field::Field;

const USAGE: &str = "\
usage: cargo xtask kill [--rounds N] [--point NAME] [--seed S] [--json FILE]

  --rounds N     how often each point is played (5; 1 with --point)
  --point NAME   only this one: a failpoint's name, `stop:NAME` for two owners, `random` for kills at random times;
                 all that begin with NAME where that ends with a dot, such as `swap.`
  --seed S       of the first round (0); the next ones have the next seeds
  --json FILE    where to write the figures as JSON, besides";

const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// What kills at random times are called.
const RANDOM: &str = "random";
/// How rounds with two owners are called.
const STOP: &str = "stop:";

#[derive(Debug, Default)]
struct Asked {
    rounds: Option<u64>,
    point: Option<String>,
    seed: u64,
    json: Option<PathBuf>,
}

/// One round: what is played, and with which seed.
#[derive(Debug, Clone)]
struct Round {
    point: String,
    seed: u64,
}

impl Round {
    /// Good for a folder and for a topic.
    fn name(&self) -> String {
        format!("{}-{}", self.point.replace(':', "-"), self.seed)
    }

    /// The same numbers for the same round.
    fn rng(&self) -> Rng {
        let mixed = self.point.bytes().fold(self.seed, |mixed, byte| mixed.rotate_left(9) ^ u64::from(byte));
        Rng::with_seed(mixed)
    }
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(asked) => match play_all(&asked) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("error: {error:#}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Asked> {
    let mut asked = Asked::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        let number = |text: String| text.parse().with_context(|| format!("{text:?} is no number"));
        match word.as_str() {
            "--rounds" => asked.rounds = Some(number(value()?)?),
            "--point" => asked.point = Some(value()?),
            "--seed" => asked.seed = number(value()?)?,
            "--json" => asked.json = Some(value()?.into()),
            other => bail!("cannot make sense of {other:?}"),
        }
    }
    Ok(asked)
}

fn play_all(asked: &Asked) -> Result<()> {
    let mut field = Field::new(asked.seed)?;
    let rounds = plan(asked, &field)?;
    let mut said = Instant::now();
    for round in &rounds {
        play(&mut field, round).with_context(|| {
            format!(
                "round {} with seed {} (its files stay in {}; `cargo xtask kill --rounds 1 --point {} --seed {}` plays \
                 it again)",
                round.point,
                round.seed,
                Field::folder(&round.name()).display(),
                round.point,
                round.seed
            )
        })?;
        field.tally.rounds += 1;
        if said.elapsed() >= PROGRESS_EVERY {
            said = Instant::now();
            println!("{}", field.tally.progress(rounds.len()));
        }
    }
    finish(asked, &field)
}

fn play(field: &mut Field, round: &Round) -> Result<()> {
    let (name, mut rng) = (round.name(), round.rng());
    match round.point.strip_prefix(STOP) {
        Some(point) => fence::play(field, &name, point, &mut rng),
        None if round.point == RANDOM => load::play(field, &name, &mut rng),
        None => match field.point_of_swap(&round.point) {
            Some(point) => swaps::play(field, &name, &point, &mut rng),
            None if field.is_of_outbox(&round.point) => outbox::play(field, &name, &round.point, &mut rng),
            None => points::play(field, &name, &round.point, &mut rng),
        },
    }
}

/// All rounds, in turn over what can be played; swaps every second time, two owners, which take longer still,
/// every fifth.
fn plan(asked: &Asked, field: &Field) -> Result<Vec<Round>> {
    let commit = field.points.iter().filter(|point| point.stage == "Commit");
    let stops: Vec<String> = commit.map(|point| format!("{STOP}{}", point.name)).collect();
    let names = |of_swap: bool| {
        let points = field.points.iter().filter(move |point| point.is_of_swap() == of_swap);
        points.map(|point| point.name.clone()).collect::<Vec<String>>()
    };
    let (mut kills, swaps) = (names(false), names(true));
    kills.push(RANDOM.to_owned());
    let all = || kills.iter().chain(&swaps).chain(&stops);
    let turn = |index: u64| -> Vec<&String> {
        match &asked.point {
            Some(start) if start.ends_with('.') => all().filter(|point| point.starts_with(start)).collect(),
            Some(wanted) => all().filter(|point| *point == wanted).collect(),
            None if index.is_multiple_of(5) => all().collect(),
            None if index.is_multiple_of(2) => kills.iter().chain(&swaps).collect(),
            None => kills.iter().collect(),
        }
    };
    let times = asked.rounds.unwrap_or(if asked.point.is_some() { 1 } else { 5 });
    let round = |index: u64, point: &String| Round { point: point.clone(), seed: asked.seed + index };
    let rounds: Vec<Round> =
        (0..times).flat_map(|index| turn(index).into_iter().map(move |point| round(index, point))).collect();
    let known = all().cloned().collect::<Vec<_>>().join(" ");
    ensure!(!rounds.is_empty(), "there is nothing to play; the points are {known}");
    Ok(rounds)
}

fn finish(asked: &Asked, field: &Field) -> Result<()> {
    println!("{}", field.tally.summary(&field.readers.reads));
    if let Some(path) = &asked.json {
        field.tally.write(path, &field.readers.reads)?;
    }
    let is_silent =
        |point: &&program::Point| field.tally.fired.get(&point.name).is_none_or(|count| *count == 0);
    let silent: Vec<_> = field.points.iter().filter(is_silent).map(|point| point.name.as_str()).collect();
    ensure!(asked.point.is_some() || silent.is_empty(), "these points never fired: {}", silent.join(", "));
    Ok(())
}
