//! DuckDB, Polars and pyarrow, each a process of its own that reads the outputs in a loop: see `readers.py`.
//! They stay over all rounds, because loading them takes longer than a round.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use speed_layer_tests::python;

const SCRIPT: &str = include_str!("readers.py");
const NAMES: [&str; 3] = ["duckdb", "polars", "pyarrow"];
/// No read takes longer, on a machine that is busy with others.
const LIMIT: Duration = Duration::from_secs(120);

/// What a reader has seen of the present round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub rows: u64,
    pub ids: u64,
    pub dead_letters: u64,
    pub late: u64,
}

/// All three.
pub struct Readers {
    readers: Vec<Reader>,
    /// Reads that saw a row, by reader, over all rounds.
    pub reads: BTreeMap<&'static str, u64>,
}

impl Readers {
    /// # Errors
    /// The Python environment is missing or a reader cannot be loaded.
    pub fn start() -> Result<Self> {
        let readers = NAMES.map(Reader::start).into_iter().collect::<Result<_>>()?;
        Ok(Self { readers, reads: BTreeMap::new() })
    }

    /// From now on they read the outputs in `folder`.
    ///
    /// # Errors
    /// One of them is gone.
    pub fn begin(&mut self, folder: &Path) -> Result<()> {
        self.ask(&format!("begin {}", folder.display())).map(|_| ())
    }

    /// Has each read what is there now; what each saw, the last of all its reads.
    ///
    /// # Errors
    /// A read of this round broke a rule.
    pub fn look(&mut self) -> Result<Vec<(&'static str, Seen)>> {
        let answers = self.ask("look")?;
        answers.into_iter().map(|(name, answer)| Ok((name, judged(name, &answer)?))).collect()
    }

    /// The same, for the last time of a round.
    ///
    /// # Errors
    /// A read of this round broke a rule, or a reader saw something else than the others.
    pub fn end(&mut self) -> Result<Seen> {
        let answers = self.ask("end")?;
        let mut seen = Vec::new();
        for (name, answer) in &answers {
            let reads = number(answer, "reads")?;
            ensure!(reads > 0, "{name} has read nothing in this round");
            *self.reads.entry(name).or_default() += reads;
            seen.push(judged(name, answer)?);
        }
        if seen.windows(2).any(|pair| pair[0] != pair[1]) {
            bail!("the readers do not agree: {answers:?}");
        }
        seen.first().copied().context("there is no reader")
    }

    fn ask(&mut self, command: &str) -> Result<Vec<(&'static str, Value)>> {
        for reader in &mut self.readers {
            writeln!(reader.commands, "{command}").with_context(|| format!("{} is gone", reader.name))?;
        }
        self.readers.iter().map(|reader| Ok((reader.name, reader.answer()?))).collect()
    }
}

fn judged(name: &str, answer: &Value) -> Result<Seen> {
    if let Some(wrong) = answer["wrong"].as_str() {
        bail!("{name} read what must not be: {wrong}");
    }
    Ok(Seen {
        rows: number(answer, "rows")?,
        ids: number(answer, "ids")?,
        dead_letters: number(answer, "dead")?,
        late: number(answer, "late")?,
    })
}

fn number(answer: &Value, name: &str) -> Result<u64> {
    answer[name].as_u64().with_context(|| format!("no {name} in {answer}"))
}

struct Reader {
    name: &'static str,
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl Reader {
    fn start(name: &'static str) -> Result<Self> {
        let mut command = Command::new(python::program()?);
        command.args(["-c", SCRIPT, name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start python")?;
        let commands = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let (sender, answers) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.take_while(|line| sender.send(line.clone()).is_ok()).count()
        });
        Ok(Self { name, child, commands, answers })
    }

    fn answer(&self) -> Result<Value> {
        let line =
            self.answers.recv_timeout(LIMIT).with_context(|| format!("{} does not answer", self.name))?;
        serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.name))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
