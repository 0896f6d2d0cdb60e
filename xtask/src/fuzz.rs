//! `fuzz`: builds the fuzz targets of `fuzz/` with the stable compiler and runs them. No sanitizer, since those need
//! another compiler; `cargo +nightly fuzz run TARGET` has them, over the same targets and corpora.
//!
//! What a run finds new is kept under `target/fuzz/corpus`; the committed corpora are only read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::prerequisites;
use crate::process::{run, stdout_of, step};
use crate::tally::Tally;
use crate::workspace::{cargo, root, target};

const SECONDS: u32 = 60;
const SECONDS_IN_TESTS: u32 = 20;

/// What cargo-fuzz has the compiler do, without a sanitizer: counters at each edge, and comparisons told.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                         -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                         -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// An input that takes longer, or more memory, or is larger.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=512", "-max_len=16384"];

/// What the words after `fuzz` ask for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// All, if none is named.
    target: Option<String>,
    /// To be run once each, in place of fuzzing.
    inputs: Vec<String>,
    seconds: u32,
}

/// Builds the targets and runs all or one of them, or single inputs of one.
///
/// # Errors
/// The words make no sense, or the targets cannot be built.
pub fn play(words: &[String]) -> Result<ExitCode> {
    let asked = parse(words)?;
    let names = targets()?;
    let chosen: Vec<String> = match asked.target {
        Some(name) if names.contains(&name) => vec![name],
        Some(name) => bail!("there is no fuzz target `{name}`; there are {}", names.join(", ")),
        None => names,
    };
    let built = build()?;
    if let ([name], false) = (chosen.as_slice(), asked.inputs.is_empty()) {
        run(Command::new(built.join(name)).args(&asked.inputs))?;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = chosen.iter().filter(|name| fuzz(&built, name, asked.seconds).is_err()).count();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A short run of each target with every test run: each is one passed or one failed.
///
/// # Errors
/// They cannot be built.
pub fn test() -> Result<Tally> {
    let built = build()?;
    let mut tally = Tally::default();
    for name in targets()? {
        let is_clean = fuzz(&built, &name, SECONDS_IN_TESTS).is_ok();
        tally.add(Tally { passed: u64::from(is_clean), failed: u64::from(!is_clean) });
    }
    Ok(tally)
}

fn parse(words: &[String]) -> Result<Asked> {
    let mut asked = Asked { target: None, inputs: vec![], seconds: SECONDS };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                let number = words.next().context("--seconds needs a number")?;
                asked.seconds = number.parse().with_context(|| format!("--seconds {number}"))?;
            }
            flag if flag.starts_with('-') => bail!("cannot make sense of `{flag}`"),
            name if asked.target.is_none() => asked.target = Some(name.to_owned()),
            input => asked.inputs.push(input.to_owned()),
        }
    }
    ensure!(asked.seconds > 0, "--seconds 0 would never end");
    Ok(asked)
}

/// Each file of `fuzz/fuzz_targets` is one.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Gives the folder of the programs. A target is named to cargo, so that build scripts and macros, which have
/// no fuzzer to count for, are compiled without the flags.
fn build() -> Result<PathBuf> {
    prerequisites::ensure(&prerequisites::FOR_BUILDING)?;
    let triple = triple()?;
    step("building the fuzz targets", || {
        let mut build = cargo(&root().join("fuzz"));
        build.args(["build", "--quiet", "--release", "--locked", "--target", &triple, "--target-dir"]);
        build.arg(target().join("fuzz")).env("RUSTFLAGS", RUSTFLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
        run(&mut build)
    })?;
    Ok(target().join("fuzz").join(triple).join("release"))
}

/// What this machine is to the compiler.
fn triple() -> Result<String> {
    let told = stdout_of(Command::new("rustc").arg("-vV").current_dir(root()))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` does not say what machine this is")
}

/// Shows what the fuzzer counted, or the end of what it said before it failed.
fn fuzz(built: &Path, name: &str, seconds: u32) -> Result<()> {
    let place = |what: &str| target().join("fuzz").join(what);
    let (found, artifacts) = (place("corpus").join(name), place("artifacts").join(name));
    let log = place("logs").join(format!("{name}.log"));
    for folder in [&found, &artifacts, &place("logs")] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let outcome = step(&format!("fuzzing {name} for {seconds} s"), || {
        let mut fuzzer = Command::new(built.join(name));
        fuzzer.arg(&found).arg(root().join("fuzz/corpus").join(name)).args(LIMITS);
        fuzzer.args([format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()]);
        fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
        run(fuzzer.stderr(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?))
    });
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    match &outcome {
        Ok(()) => println!("    {name}: {}", counted(&said)),
        Err(_) => eprintln!("{}\n    all of it: {}", end_of(&said), log.display()),
    }
    outcome
}

/// How many inputs were run, and what they reached.
fn counted(said: &str) -> String {
    let reached = said.lines().rev().find_map(|line| line.split_once("cov: ")).map_or("", |(_, rest)| rest);
    let edges = reached.split_whitespace().next().unwrap_or("?");
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    format!("{} inputs, {edges} edges", runs.unwrap_or("?").trim())
}

fn end_of(said: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(Option<&str>, &[&str], u32)>) {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        let expected = expected.map(|(target, inputs, seconds)| Asked {
            target: target.map(str::to_owned),
            inputs: inputs.iter().map(ToString::to_string).collect(),
            seconds,
        });
        assert_eq!(parse(&words).ok(), expected, "fuzz {line}");
    }

    #[test]
    fn a_target_its_inputs_and_the_time_are_understood() {
        check("", Some((None, &[], SECONDS)));
        check("lift --seconds 5", Some((Some("lift"), &[], 5)));
        check("--seconds 5", Some((None, &[], 5)));
        check("lift a b", Some((Some("lift"), &["a", "b"], SECONDS)));
        for wrong in ["--seconds", "--seconds 0", "--seconds x", "--second 5", "lift -x"] {
            check(wrong, None);
        }
    }

    #[test]
    fn each_target_is_a_program_with_a_corpus() -> Result<()> {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml"))?;
        let names = targets()?;
        assert_eq!(manifest.matches("[[bin]]").count(), names.len());
        for name in names {
            assert!(
                manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")),
                "{name}"
            );
            assert!(root().join("fuzz/corpus").join(&name).read_dir()?.count() > 5, "{name}");
        }
        Ok(())
    }

    #[test]
    fn what_the_fuzzer_counted_is_found_in_what_it_says() {
        let said = "#2\tINITED cov: 5 ft: 6\n#9\tNEW    cov: 17 ft: 30 corp: 3/4b\nstat::number_of_executed_units: 99\n";
        assert_eq!(counted(said), "99 inputs, 17 edges");
    }
}
