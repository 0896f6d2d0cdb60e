//! `sim`: plays seeds of the simulator and says how it went. The first seed that breaks
//! a rule ends it, with the rule, the log and the line that plays it again.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use speed_layer_sim::{Failure, MUTANTS, Mutant, Tally, log, play};

const USAGE: &str = "\
usage: cargo xtask sim [--seeds N] [--seed S] [--mutant NAME] [--log]

  --seeds N       how many seeds to play (1000; 1 with --seed)
  --seed S        the first of them (0)
  --mutant NAME   with a planted bug, which should break a rule; `--mutant list` names them
  --log           print everything that happens, also where no rule is broken";

const PROGRESS_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Asked {
    seeds: Option<u64>,
    seed: Option<u64>,
    mutant: Option<String>,
    log: bool,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(|asked| run(&asked)) {
        Ok(code) => code,
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
            "--seeds" => asked.seeds = Some(number(value()?)?),
            "--seed" => asked.seed = Some(number(value()?)?),
            "--mutant" => asked.mutant = Some(value()?),
            "--log" => asked.log = true,
            other => bail!("cannot make sense of {other:?}"),
        }
    }
    Ok(asked)
}

fn run(asked: &Asked) -> Result<ExitCode> {
    let mutant = match asked.mutant.as_deref() {
        None => None,
        Some("list") => {
            MUTANTS.iter().for_each(|(name, _)| println!("{name}"));
            return Ok(ExitCode::SUCCESS);
        }
        Some(name) => Some(Mutant::named(name).with_context(|| format!("there is no mutant {name:?}"))?),
    };
    let first = asked.seed.unwrap_or(0);
    let seeds = asked.seeds.unwrap_or(if asked.seed.is_some() { 1 } else { 1_000 });
    if asked.log {
        (first..first + seeds).for_each(|seed| log(seed, mutant).iter().for_each(|line| println!("{line}")));
    }
    Ok(play_all(first, seeds, mutant))
}

fn play_all(first: u64, seeds: u64, mutant: Option<Mutant>) -> ExitCode {
    let began = Instant::now();
    let mut said = began;
    let mut sum = Tally::default();
    for seed in first..first + seeds {
        match play(seed, mutant) {
            Ok(tally) => sum.add(tally),
            Err(failure) => {
                report(&failure);
                return ExitCode::FAILURE;
            }
        }
        if said.elapsed() >= PROGRESS_EVERY {
            said = Instant::now();
            println!("{}", progress(&sum, began));
        }
    }
    println!("{}", progress(&sum, began));
    println!("no rule was broken by seeds {first} to {}", first + seeds.max(1) - 1);
    ExitCode::SUCCESS
}

fn progress(sum: &Tally, began: Instant) -> String {
    let seconds = began.elapsed().as_secs_f64();
    let Tally { seeds, processes, stopped, faulty, rivals, fenced, clean_ends, changes } = sum;
    format!(
        "{seeds} seeds in {seconds:.1} s ({:.0} a second): {processes} processes, {stopped} stopped, {faulty} \
         with a failing disk, {rivals} times two at once, {fenced} fenced, {clean_ends} early clean ends, {changes} changes",
        *seeds as f64 / seconds.max(0.001)
    )
}

fn report(failure: &Failure) {
    failure.log.iter().for_each(|line| println!("{line}"));
    println!("\nseed {} broke a rule: {}", failure.seed, failure.violation);
    println!("play it again with `cargo xtask sim --seed {}`", failure.seed);
}
