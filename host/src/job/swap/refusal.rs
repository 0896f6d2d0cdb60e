//! Why a plugin cannot take another one's place: what differs, field by field, and the
//! command lines that would do.

use std::fmt::Write;

use anyhow::bail;
use speed_layer_core::swap::ColumnChange;

use super::asked::Windows;
use super::prepare::Request;

/// What stands against one aggregate's going on.
#[derive(Debug, Default)]
pub struct Obstacles {
    pub aggregate: String,
    /// Why the open windows cannot be taken over, each a sentence.
    pub windows: Vec<String>,
    /// Changes of the output that its readers could not bear.
    pub output: Vec<ColumnChange>,
    /// It goes to another folder.
    pub is_moved: bool,
}

impl Obstacles {
    fn needs_output(&self) -> bool {
        !self.is_moved && !self.output.is_empty()
    }

    fn lines(&self, windows: Windows) -> Vec<String> {
        let mut lines = Vec::new();
        if windows == Windows::TakeOver {
            lines.extend(self.windows.iter().cloned());
        }
        if self.needs_output() {
            lines.push(format!(
                "the output of aggregate {} would change so that files of both forms cannot be read together (only \
                 nullable columns at its end may be new):",
                self.aggregate
            ));
            lines.extend(self.output.iter().map(|change| format!("  {change}")));
        }
        lines
    }
}

/// Refuses what `found` stands against; each comes with what becomes of its windows.
///
/// # Errors
/// Where anything is left.
pub fn check(what: &str, request: &Request, found: &[(Obstacles, Windows)]) -> anyhow::Result<()> {
    let lines: Vec<String> = found.iter().flat_map(|(of, windows)| of.lines(*windows)).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let mut text = format!("{what}:");
    lines.iter().for_each(|line| _ = write!(text, "\n  {line}"));
    let ways = ways(request, found);
    if !ways.is_empty() {
        text += "\nwhat can be done:";
        ways.iter().for_each(|(flags, does)| {
            _ = write!(text, "\n  {} {flags}\n      {does}", request.command);
        });
    }
    bail!(text)
}

const RESET: &str = "gives the open windows up: their values so far are written down, marked partial, the rest of them \
                     is withheld, and the plugin begins with the next window";
const REBUILD: &str =
    "exact: makes the open windows anew, from the topic's records up to the cut; refused if some are gone";
const GO_ON: &str = "the open windows go on; from now on they are written to DIR";

/// The flags with which the swap could be made, and what each does.
fn ways(request: &Request, found: &[(Obstacles, Windows)]) -> Vec<(String, String)> {
    let gives_up =
        |(of, windows): &(Obstacles, Windows)| *windows == Windows::TakeOver && !of.windows.is_empty();
    let ways = match request.windows {
        Windows::TakeOver if found.iter().any(gives_up) => {
            vec![("--rebuild", REBUILD), ("--reset-windows", RESET)]
        }
        Windows::TakeOver => vec![("", GO_ON)],
        Windows::Rebuild => vec![("--rebuild", REBUILD)],
        Windows::Reset => vec![("--reset-windows", RESET)],
    };
    let output = match &request.output {
        Some(given) => format!(" --output {}", given.display()),
        None if found.iter().any(|(of, _)| of.needs_output()) => " --output DIR".to_owned(),
        None => String::new(),
    };
    ways.into_iter()
        .map(|(flag, does)| (format!("{flag}{output}").trim().to_owned(), does.to_owned()))
        .collect()
}
