//! The same job on this host and on its peers, in turn over the same topics of one broker: `cargo xtask bench`.
//! A figure counts when the result that it was made with is right; each engine's own way of measuring is not trusted.
//!
//! `plan` is what is measured, `topics` makes the records and knows the result, `engines` are started, `watched` is what
//! they cost, `report` what is told of it.

#![forbid(unsafe_code)]

mod engines;
mod plan;
mod report;
mod topics;
mod watched;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use speed_layer_tests::kafka::Broker;
use speed_layer_tests::places;

use engines::{Engine, Outcome};
use plan::{Case, Plan};
use report::Report;
use topics::Ticks;

fn main() -> ExitCode {
    match run(&Plan::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> Result<()> {
    let engines = plan.engines.iter().map(|name| Engine::ready(*name)).collect::<Result<Vec<_>>>()?;
    let mut report = Report::new(plan, &engines);
    for case in plan.cases() {
        measure(plan, &case, &engines, &mut report).with_context(|| case.to_string())?;
    }
    println!("{}", report.table());
    plan.json.iter().try_for_each(|path| report.write_json(path))
}

/// All rounds of a case, over a broker and a topic of its own.
fn measure(plan: &Plan, case: &Case, engines: &[Engine], report: &mut Report) -> Result<()> {
    let broker = Broker::start_for_load()?;
    eprintln!("{case}: {} records are written", case.rows);
    let ticks = Ticks::write(case, &broker)?;
    for round in 1..=plan.rounds {
        // Whoever comes first in a round comes last in the next: a machine that slows down is nobody's fault.
        let turn = round % engines.len();
        for engine in engines[turn..].iter().chain(&engines[..turn]) {
            let folder = tempfile::tempdir_in(room()?)?;
            let outcome = engine.run(case, &ticks, &broker, folder.path())?;
            eprintln!("{case}, round {round}: {}", said(&outcome));
            report.note(case, outcome);
        }
    }
    Ok(())
}

fn said(outcome: &Outcome) -> String {
    let verdict = match &outcome.wrong {
        None => String::new(),
        Some(wrong) => format!(", and WRONG: {wrong}"),
    };
    format!("{} took {:.2} s of running{verdict}", outcome.engine, outcome.running_s)
}

fn room() -> Result<PathBuf> {
    let room = places::target().join("bench");
    std::fs::create_dir_all(&room).with_context(|| format!("cannot make {}", room.display()))?;
    Ok(room)
}
