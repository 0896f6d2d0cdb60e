//! The history of a job's swaps: a line of JSON each, beside the checkpoints. What a crash has kept from being
//! written is made up for at the next start, from the checkpoint, which alone decides what runs.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use speed_layer_core::commit::{PluginUse, Progress};
use speed_layer_store::fail_point;

use super::Report;

/// Where a job's history of swaps is, below its checkpoint directory.
pub fn history_path(checkpoint_dir: &Path) -> PathBuf {
    checkpoint_dir.join("swaps.jsonl")
}

/// Every swap of a job that was tried, oldest first.
///
/// # Errors
/// The history cannot be read.
pub fn read_history(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = read(path)?;
    // A line that a crash cut short is none.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Adds a swap.
///
/// # Errors
/// It cannot be written.
pub fn remember(path: &Path, report: &Report) -> anyhow::Result<()> {
    fail_point("swap.before_history");
    append(path, &format!("{}\n", serde_json::to_string(report)?))?;
    fail_point("swap.after_history");
    Ok(())
}

/// Ends a line that a crash has cut short, and adds the swaps that the checkpoint knows of and the
/// history does not: the process ended between the two.
///
/// # Errors
/// The history cannot be read or written.
pub fn settle(path: &Path, progress: &Progress) -> anyhow::Result<()> {
    let text = read(path)?;
    let known = read_history(path)?;
    let stages = progress.stages.iter().map(|of| (of.stage.clone(), &of.plugins));
    let aggregates = progress.aggregates.iter().map(|of| (format!("aggregate:{}", of.name), &of.plugins));
    let missing = stages.chain(aggregates).filter_map(|(stage, uses)| missing(&stage, uses, &known));
    let mut more = String::from(if text.is_empty() || text.ends_with('\n') { "" } else { "\n" });
    missing.for_each(|line| more += &format!("{line}\n"));
    if more.is_empty() { Ok(()) } else { append(path, &more) }
}

/// The swap to a stage's present plugin, if the history knows no swap or another one as the last.
fn missing(stage: &str, uses: &[PluginUse], known: &[Value]) -> Option<Value> {
    let [.., from, to] = uses else { return None };
    let is_swap = |line: &&Value| line["stage"] == stage && line["outcome"] == "swapped";
    let last = known.iter().rev().find(is_swap).map(|line| &line["to"]["digest"]);
    let (old, new) = (from.digest.to_string(), to.digest.to_string());
    if old == new || last.is_some_and(|last| *last == new.as_str()) {
        return None;
    }
    Some(json!({
        "at": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "asked_by": "somebody before the last crash",
        "stage": stage,
        "from": { "name": from.name, "digest": old },
        "to": { "name": to.name, "digest": new },
        "change": null,
        "aggregates": [],
        "outcome": "swapped",
        "epoch": null,
        "from_offsets": to.from,
        "pause_ms": null,
    }))
}

fn read(path: &Path) -> anyhow::Result<String> {
    match std::fs::read(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => {
            let bytes = read.with_context(|| format!("cannot read {}", path.display()))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_data()
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use speed_layer_core::commit::StageUse;
    use speed_layer_store::part::digest_of_bytes;

    use super::*;

    fn progress(plugins: &[&str]) -> Progress {
        let used = |name: &&str| PluginUse {
            name: (*name).to_owned(),
            digest: digest_of_bytes(name.as_bytes()),
            config: digest_of_bytes(b""),
            from: Vec::new(),
        };
        let stage = StageUse { stage: "parse".to_owned(), plugins: plugins.iter().map(used).collect() };
        Progress { stages: vec![stage], ..Progress::default() }
    }

    /// The names that the history's swaps lead to, after a start from a checkpoint.
    fn settled(text: &str, plugins: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = history_path(folder.path());
        std::fs::write(&path, text).unwrap();
        settle(&path, &progress(plugins)).unwrap();
        let lines = read_history(&path).unwrap();
        lines.iter().map(|line| line["to"]["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn line(to: &str, outcome: &str) -> String {
        let to = json!({ "name": to, "digest": digest_of_bytes(to.as_bytes()).to_string() });
        format!("{}\n", json!({ "stage": "parse", "to": to, "outcome": outcome }))
    }

    #[test]
    fn a_swap_that_only_the_checkpoint_knows_gets_a_line() {
        assert_eq!(settled("", &["a"]), [""; 0]);
        assert_eq!(settled("", &["a", "b"]), ["b"]);
        assert_eq!(settled(&line("b", "swapped"), &["a", "b"]), ["b"]);
        assert_eq!(settled(&line("b", "swapped"), &["a", "b", "c"]), ["b", "c"]);
        assert_eq!(settled(&line("b", "rolled_back"), &["a", "b"]), ["b", "b"]);
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let cut = format!("{}{}", line("b", "swapped"), "{\"stage\": \"par");
        assert_eq!(settled(&cut, &["a", "b", "c"]), ["b", "c"]);
        assert_eq!(settled("{\"stage\": \"par", &["a"]), [""; 0]);
    }
}
