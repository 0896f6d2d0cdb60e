//! `cargo xtask COMMAND`: everything a developer or CI does with this repository, one word each.
//!
//! This file only knows the words; each command has its own file. It has no build logic of its own:
//! cargo decides what is out of date, and the product never depends on anything in here.

#![forbid(unsafe_code)]

mod bench;
mod build;
mod checks;
mod chromium;
mod debian;
mod fuzz;
mod guests;
mod kill;
mod nightly;
mod prerequisites;
mod process;
mod python;
mod sim;
mod soak;
mod strace;
mod tally;
mod test;
mod unpacked;
mod wasm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use wasm::Preference;

const USAGE: &str = "\
usage: cargo xtask COMMAND

commands:
  build [--force-wasm-fallback]   target/release/host and target/plugins/*.wasm; installs or makes what is missing
  demo                            build, then the whole line on an embedded broker: `host demo`
  test                            build, then every test; the last line is `N passed, N failed`
  lint                            format, clippy and documentation checks
  deny                            licences, sources and doubled crates by cargo-deny, where it is installed
  ci                              what CI runs: `.ci/run`
  sim [--seeds N] [--seed S]      N seeds (1000) of the simulator of commits, from S (0) on; `sim --help` for more
  kill [--rounds N] [--point NAME] [--seed S]
                                  N kills (5) of the program at each failpoint, over a real Kafka; `kill --help` for more
  swap-soak [--swaps N] [--groups N] [--json FILE]
                                  N swaps (1000) in running jobs over a real Kafka: what they cost and whether anything grows
  bench [--quick] [--rows N] [--codecs LIST] [--engines LIST] [--json FILE]
                                  the same job on this host, on librdkafka alone and on Spark, side by side, their results
                                  checked; `bench --help` for more
  fuzz [TARGET [INPUT...]] [--seconds N]
                                  N seconds (60) of each fuzz target, or of one; INPUTs are run once each instead
  nightly                         20,000 seeds that no other night has played; then `cargo component build` in every
                                  plugin's folder, which installs cargo-component

environment:
  SPEED_LAYER_WASM=rustup|fallback   where the wasm32 standard library comes from: rustup alone, or a compiler
                                     made from Debian's packages (as --force-wasm-fallback); unset: whichever works";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Build { force_fallback: bool },
    Demo,
    Test,
    Lint,
    Deny,
    Ci,
    Sim(Vec<String>),
    Kill(Vec<String>),
    SwapSoak(Vec<String>),
    Fuzz(Vec<String>),
    Bench(Vec<String>),
    Nightly,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match parse(&words) {
        Ok(command) => run(command).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }),
        Err(complaint) => {
            eprintln!("error: {complaint}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[String]) -> Result<Command, String> {
    match words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("sim", rest)) => return Ok(Command::Sim(rest.to_vec())),
        Some(("kill", rest)) => return Ok(Command::Kill(rest.to_vec())),
        Some(("swap-soak", rest)) => return Ok(Command::SwapSoak(rest.to_vec())),
        Some(("bench", rest)) => return Ok(Command::Bench(rest.to_vec())),
        Some(("fuzz", rest)) => return Ok(Command::Fuzz(rest.to_vec())),
        _ => {}
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--help" | "-h" | "help", ..] | [_, "--help" | "-h"] => Ok(Command::Help),
        ["build"] => Ok(Command::Build { force_fallback: false }),
        ["build", "--force-wasm-fallback"] => Ok(Command::Build { force_fallback: true }),
        ["demo"] => Ok(Command::Demo),
        ["test"] => Ok(Command::Test),
        ["lint"] => Ok(Command::Lint),
        ["deny"] => Ok(Command::Deny),
        ["ci"] => Ok(Command::Ci),
        ["nightly"] => Ok(Command::Nightly),
        [] => Err("no command".into()),
        other => Err(format!("cannot make sense of `{}`", other.join(" "))),
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Help => println!("{USAGE}"),
        Command::Build { force_fallback } => {
            build::all(Preference::of(force_fallback)?)?;
        }
        Command::Demo => return build::demo(Preference::of(false)?),
        Command::Test => return test::all(Preference::of(false)?),
        Command::Lint => checks::lint()?,
        Command::Deny => checks::deny()?,
        Command::Ci => return checks::ci(),
        Command::Sim(words) => return sim::play(&words),
        Command::Kill(words) => return kill::play(&words, Preference::of(false)?),
        Command::SwapSoak(words) => return soak::play(&words, Preference::of(false)?),
        Command::Fuzz(words) => return fuzz::play(&words),
        Command::Bench(words) => return bench::play(&words, Preference::of(false)?),
        Command::Nightly => {
            sim::nightly()?;
            nightly::component_builds(Preference::of(false)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<Command>) {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        assert_eq!(parse(&words).ok(), expected, "cargo xtask {line}");
    }

    #[test]
    fn known_words_are_understood_and_others_refused() {
        check("build", Some(Command::Build { force_fallback: false }));
        check("build --force-wasm-fallback", Some(Command::Build { force_fallback: true }));
        check("demo", Some(Command::Demo));
        check("test", Some(Command::Test));
        check("lint", Some(Command::Lint));
        check("deny", Some(Command::Deny));
        check("ci", Some(Command::Ci));
        check("sim --seed 7", Some(Command::Sim(vec!["--seed".into(), "7".into()])));
        check("kill --rounds 2", Some(Command::Kill(vec!["--rounds".into(), "2".into()])));
        check("swap-soak --swaps 60", Some(Command::SwapSoak(vec!["--swaps".into(), "60".into()])));
        check("fuzz lift", Some(Command::Fuzz(vec!["lift".into()])));
        check("bench --quick", Some(Command::Bench(vec!["--quick".into()])));
        check("nightly", Some(Command::Nightly));
        check("--help", Some(Command::Help));
        check("build --help", Some(Command::Help));
        check("", None);
        check("biuld", None);
        check("test everything", None);
    }
}
