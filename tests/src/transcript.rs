//! A document's command lines and what it says they print: found in it, typed into one shell, compared.
//!
//! A block that is fenced as `console` holds commands, each after `$ `, with its output below. In an output `…`
//! stands for anything in its line, and for any number of lines where it is alone in one.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::job::{LIMIT, new_folder};
use crate::places::target;

const FENCE: &str = "```";
const PROMPT: &str = "$ ";
const ANYTHING: char = '…';
/// Ends each command's output; its exit code follows.
const MARK: &str = "-- done: ";

/// A command and what it is to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub command: String,
    pub output: Vec<String>,
}

impl Step {
    /// With other texts in place of some, in command and output.
    fn replaced(mut self, replaced: &[(&str, &str)]) -> Self {
        for line in self.output.iter_mut().chain([&mut self.command]) {
            for (from, to) in replaced {
                *line = line.replace(from, to);
            }
        }
        self
    }
}

/// The steps of a document, in order.
pub fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut goes_on) = (false, false);
    for line in document.lines() {
        if line.starts_with(FENCE) {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix(PROMPT).filter(|_| inside) {
            steps.push(Step { command: command.to_owned(), output: Vec::new() });
        } else if let Some(step) = steps.last_mut().filter(|_| inside) {
            if goes_on {
                step.command += &format!("\n{line}");
            } else {
                step.output.push(line.to_owned());
            }
        }
        goes_on = inside && line.ends_with('\\') && (goes_on || line.starts_with(PROMPT));
    }
    steps
}

/// Whether an output is as expected.
pub fn fits(expected: &[String], found: &[String]) -> bool {
    match (expected.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if is_anything(first) => {
            fits(rest, found) || !found.is_empty() && fits(expected, &found[1..])
        }
        (Some((one, expected)), Some((other, found))) => line_fits(one, other) && fits(expected, found),
        _ => false,
    }
}

fn is_anything(line: &str) -> bool {
    line.chars().eq([ANYTHING])
}

fn line_fits(expected: &str, found: &str) -> bool {
    let parts: Vec<&str> = expected.split(ANYTHING).collect();
    let Some((first, others)) = parts.split_first() else { return false };
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A shell that keeps its folder, variables and background jobs from one command to the next; they end with it.
pub struct Shell {
    child: Child,
    commands: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    /// In a folder, with folders put before the PATH.
    ///
    /// # Errors
    /// There is no `sh`.
    pub fn start(folder: &Path, path: &str) -> Result<Self> {
        let mut sh = Command::new("sh");
        sh.args(["-c", "exec sh 2>&1"]).current_dir(folder).env("PATH", path).process_group(0);
        let mut child = sh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start sh")?;
        let commands = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { child, commands, lines })
    }

    /// In a folder, with the built programs before the PATH.
    ///
    /// # Errors
    /// There is no `sh`.
    pub fn with_program(folder: &Path) -> Result<Self> {
        let usual = std::env::var("PATH").unwrap_or_default();
        Self::start(folder, &format!("{}:{usual}", target().join("release").display()))
    }

    /// Has a command run; gives its output and its exit code.
    ///
    /// # Errors
    /// It takes longer than `limit`.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<(Vec<String>, i32)> {
        writeln!(self.commands, "{command}\necho '{MARK}'$?")?;
        let mut output = Vec::new();
        loop {
            let line = self.lines.recv_timeout(limit);
            let line = line.with_context(|| format!("`{command}` does not end: {}", output.join("\n")))?;
            if let Some((before, code)) = line.split_once(MARK) {
                output.extend((!before.is_empty()).then(|| before.to_owned()));
                return Ok((output, code.parse()?));
            }
            output.push(line);
        }
    }

    /// Has a step run, and compares. Only a command whose output says `error:` may fail.
    ///
    /// # Errors
    /// The output is another one, or the command fails.
    pub fn check(&mut self, step: &Step, limit: Duration) -> Result<()> {
        let (found, code) = self.run(&step.command, limit)?;
        let told = || format!("$ {}\n{}\nexit code {code}", step.command, found.join("\n"));
        ensure!(fits(&step.output, &found), "expected:\n{}\nfound:\n{}", step.output.join("\n"), told());
        let may_fail = step.output.iter().any(|line| line.starts_with("error:"));
        ensure!(code == 0 || may_fail, "it failed:\n{}", told());
        Ok(())
    }
}

/// A shell as a document's reader has it who built the program: its folder has `target`, and the program is on the PATH.
pub struct Reader {
    /// Where the commands are typed.
    pub folder: TempDir,
    pub shell: Shell,
}

impl Reader {
    /// # Errors
    /// There is no room, or no `sh`.
    pub fn new() -> Result<Self> {
        let folder = new_folder()?;
        symlink(target(), folder.path().join("target"))?;
        let shell = Shell::with_program(folder.path())?;
        Ok(Self { folder, shell })
    }

    /// Types the steps with each `(from, to)` replaced in them.
    ///
    /// # Errors
    /// As [`Shell::check`]; the job's log is told, where it went to `job.log`.
    pub fn type_all(&mut self, steps: Vec<Step>, replaced: &[(&str, &str)]) -> Result<()> {
        for step in steps {
            let log = || std::fs::read_to_string(self.folder.path().join("job.log")).unwrap_or_default();
            let checked = self.shell.check(&step.replaced(replaced), LIMIT);
            checked.with_context(|| format!("the job's log: {}", log()))?;
        }
        Ok(())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // All may have ended already; then there is nothing to do.
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn check(expected: &str, found: &str, wanted: bool) {
        assert_eq!(fits(&lines(expected), &lines(found)), wanted, "{expected:?} {found:?}");
    }

    #[test]
    fn dots_stand_for_a_part_of_a_line_or_for_lines() {
        check("a\nb", "a\nb", true);
        check("a", "a\nb", false);
        check("a … c", "a 12 c", true);
        check("a … c …", "a 12 d", false);
        check("x…yy", "xy", false);
        check("…\nb\n…", "a\nb", true);
        check("…", "", true);
        check("…\nc", "a\nb", false);
        check("", "a", false);
    }

    #[test]
    fn the_steps_of_a_document_are_its_console_blocks() {
        let text = "# T\n```\n$ no\n```\n```console\n$ one \\\n  more\nout\n\n$ two\n```\n";
        let step = |command: &str, output: &[&str]| Step {
            command: command.to_owned(),
            output: output.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(steps(text), [step("one \\\n  more", &["out", ""]), step("two", &[])]);
    }

    #[test]
    fn a_shell_remembers_and_tells_a_failure() {
        let folder = std::env::temp_dir();
        let path = std::env::var("PATH").expect("a PATH");
        let mut shell = Shell::start(&folder, &path).expect("sh starts");
        let limit = Duration::from_secs(20);
        assert_eq!(shell.run("a=1; printf x", limit).expect("it ends"), (vec!["x".to_owned()], 0));
        assert_eq!(shell.run("echo $a >&2; false", limit).expect("it ends"), (vec!["1".to_owned()], 1));
        let step = Step { command: "false".to_owned(), output: vec![] };
        assert!(shell.check(&step, limit).is_err());
    }
}
