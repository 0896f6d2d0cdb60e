//! `test`: everything, with one line at the end that adds it up.
//!
//! A tool that cannot be had here leaves out the tests whose module is named after it, by name and aloud;
//! with `CI=true` that is a failure. Only strace is not left out: its tests fail, since nothing else sees syncs.

use std::process::{Command, ExitCode};

use anyhow::{Error, Result, bail};

use crate::process::{stdout_of, step};
use crate::tally::{self, Tally};
use crate::wasm::Preference;
use crate::workspace::{cargo, root};
use crate::{build, chromium, fuzz, guests, kill, prerequisites, python, soak, strace};

/// How many tests run at a time, to the test programs.
const THREADS: &str = "RUST_TEST_THREADS";

/// Tests that need something beyond cargo lie in modules of these names.
const KAFKA_TESTS: &str = "real_kafka::";
const PYTHON_TESTS: &str = "python_readers::";
const BROWSER_TESTS: &str = "in_chromium::";
const MOUNT_TESTS: &str = "full_disk::";

/// Builds, runs every test, prints `N passed, N failed`.
///
/// # Errors
/// Something could not be built, or in CI some tests cannot run.
pub fn all(preference: Preference) -> Result<ExitCode> {
    let left_out = left_out()?;
    if let Err(error) = strace::ensure() {
        eprintln!("    the tests that trace system calls will fail: {error:#}");
    }
    build::all(preference)?;
    let mut sum = Tally::default();
    for guests in guests::all() {
        let title = format!("testing {} on this machine", guests.name());
        sum.add(step(&title, || tally::run(guests.cargo("test").arg("--no-fail-fast")))?);
    }
    sum.add(step("testing the workspace", || tally::run(&mut workspace_tests(&left_out)))?);
    sum.add(fuzz::test()?);
    if !left_out.contains(&KAFKA_TESTS) {
        sum.add(soak::test()?);
    }
    if can_kill(&left_out) {
        sum.add(kill::test()?);
    }
    report_left_out(&left_out)?;
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn workspace_tests(left_out: &[&str]) -> Command {
    let mut tests = cargo(root());
    tests.args(["test", "--release", "--workspace", "--no-fail-fast", "--"]);
    for module in left_out {
        tests.args(["--skip", module]);
    }
    if std::env::var_os(THREADS).is_none() {
        tests.env(THREADS, threads().to_string());
    }
    tests
}

/// The tests of the whole system wait for brokers and time limits for the better half of their time.
fn threads() -> usize {
    2 * std::thread::available_parallelism().map_or(1, usize::from)
}

/// The modules that cannot run on this machine.
fn left_out() -> Result<Vec<&'static str>> {
    let needs = [
        (KAFKA_TESTS, prerequisites::ensure(&prerequisites::FOR_KAFKA)),
        (KAFKA_TESTS, prerequisites::ensure(&prerequisites::FOR_DOCUMENTS)),
        (PYTHON_TESTS, python::ensure()),
        (BROWSER_TESTS, chromium::ensure()),
    ];
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut modules = Vec::new();
    for (module, outcome) in needs {
        if let Err(error) = outcome {
            modules.push(unavailable(module, &error, in_ci)?);
        }
    }
    // Not every CI machine allows it, and what may fail is tried call by call as well.
    if let Err(error) = may_mount() {
        modules.push(unavailable(MOUNT_TESTS, &error, false)?);
    }
    Ok(modules)
}

/// Whether a user may mount a disk of his own, in a namespace of his own.
fn may_mount() -> Result<()> {
    let probe = ["-Urm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"];
    stdout_of(Command::new("unshare").args(probe)).map(drop)
}

fn can_kill(left_out: &[&str]) -> bool {
    !left_out.iter().any(|module| [KAFKA_TESTS, PYTHON_TESTS].contains(module))
}

fn unavailable<'a>(module: &'a str, error: &Error, in_ci: bool) -> Result<&'a str> {
    if in_ci {
        bail!("the tests in {module} cannot run, and in CI all must: {error:#}");
    }
    eprintln!("    the tests in {module} will not run: {error:#}");
    Ok(module)
}

fn report_left_out(modules: &[&str]) -> Result<()> {
    for module in modules {
        let mut list = cargo(root());
        list.args(["test", "--quiet", "--release", "--workspace", "--tests", "--", "--list", module]);
        println!("\nnot run, for want of what {module} needs:");
        stdout_of(&mut list)?
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .for_each(|name| println!("  {name}"));
    }
    if !can_kill(modules) {
        println!("\nnor `cargo xtask kill` and `swap-soak`, for want of Kafka or the Python readers");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_run_is_left_out_at_home_and_an_error_in_ci() {
        let error = Error::msg("java not found");
        assert_eq!(unavailable(KAFKA_TESTS, &error, false).ok(), Some(KAFKA_TESTS));
        let message = unavailable(KAFKA_TESTS, &error, true).map_err(|error| error.to_string());
        assert!(message.is_err_and(|message| message.contains("java not found")));
    }

    #[test]
    fn tests_that_cannot_run_are_skipped_by_name() {
        let command = workspace_tests(&[KAFKA_TESTS]);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        assert!(words.ends_with(&["--".into(), "--skip".into(), KAFKA_TESTS.into()]), "{words:?}");
    }
}
