//! What a job may ask of the file system, and in which order, as rules over a trace.
//!
//! A pure function: calls in, complaints out. Several processes of a job may follow each other in one trace:
//! what the first has synced stays synced. Rules about what is synced hold for what returned before, since
//! calls of several threads overlap.

use std::path::{Path, PathBuf};

use crate::trace::{Act, Call};

/// The directories of a job with one output.
#[derive(Clone, Debug)]
pub struct Places {
    /// All that is the job's lies below.
    pub folder: PathBuf,
    /// What readers list: the output, the dead letters, the late rows.
    pub outputs: Vec<PathBuf>,
    pub staging: PathBuf,
    pub checkpoints: PathBuf,
}

/// Every rule that the trace breaks, in a sentence; none for a trace in order.
pub fn complaints(calls: &[Call], places: &Places) -> Vec<String> {
    let trace = Trace { calls, places };
    let rules: [fn(&Trace<'_>) -> Vec<String>; 8] = [
        content_before_link,
        staged_before_seal,
        seal_before_publish,
        published_before_next_seal,
        names_before_report,
        outputs_only_gain_links,
        removals_come_last,
        failed_syncs_are_final,
    ];
    rules.iter().flat_map(|rule| rule(&trace)).collect()
}

/// The files that got a final name below an output, in the order of their links.
pub fn published<'a>(calls: &'a [Call], places: &Places) -> Vec<&'a Path> {
    let links = calls.iter().filter(|call| call.ok && matches!(call.act, Act::Link { .. }));
    links.filter_map(|call| call.act.path()).filter(|to| places.is_output(to)).collect()
}

/// The epochs that were sealed, in the order of their links.
pub fn sealed(calls: &[Call], places: &Places) -> Vec<u64> {
    let trace = Trace { calls, places };
    trace.seals().filter(|(_, link)| link.ok).map(|(epoch, _)| epoch).collect()
}

struct Trace<'a> {
    calls: &'a [Call],
    places: &'a Places,
}

impl Places {
    fn is_output(&self, path: &Path) -> bool {
        self.outputs.iter().any(|output| path.starts_with(output))
    }

    fn is_sealed(&self, path: &Path) -> bool {
        self.sealed_epoch(path).is_some()
    }

    /// The epoch of a checkpoint under its final name.
    fn sealed_epoch(&self, path: &Path) -> Option<u64> {
        let name = path.strip_prefix(&self.checkpoints).ok()?.to_str()?;
        name.strip_prefix("ckpt-")?.parse().ok()
    }
}

/// The epoch in the name of a file of rows: `part-JOB-gN-eN-…`.
fn part_epoch(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.split('-').filter_map(|word| word.strip_prefix('e')).find_map(|digits| digits.parse().ok())
}

impl<'a> Trace<'a> {
    /// Every attempt to give a file a final name: its source, that name, the call.
    fn final_links(&self) -> impl Iterator<Item = (&'a Path, &'a Path, &'a Call)> + '_ {
        self.calls.iter().filter_map(|call| match &call.act {
            Act::Link { from, to }
                if self.places.is_output(to) || to.starts_with(&self.places.checkpoints) =>
            {
                Some((from.as_path(), to.as_path(), call))
            }
            _ => None,
        })
    }

    /// Every attempt to publish, with the epoch.
    fn publications(&self) -> impl Iterator<Item = (u64, &'a Path, &'a Call)> + '_ {
        let links = self.final_links().filter(|(_, to, _)| self.places.is_output(to));
        links.map(|(_, to, call)| (part_epoch(to).unwrap_or_default(), to, call))
    }

    /// Every attempt to seal.
    fn seals(&self) -> impl Iterator<Item = (u64, &'a Call)> + '_ {
        self.final_links().filter_map(|(_, to, call)| Some((self.places.sealed_epoch(to)?, call)))
    }

    /// The line in which the last write to `path`, or its creation, has ended.
    fn written(&self, path: &Path, before: usize) -> Option<usize> {
        let writes = |call: &&Call| match &call.act {
            Act::Write(written) => written == path,
            Act::Open { path: opened, writes } => *writes && call.ok && opened == path,
            _ => false,
        };
        let writes = self.calls.iter().filter(writes).filter(|call| call.began < before);
        writes.map(|call| call.ended).max()
    }

    /// Whether a sync of `path` began after the line `after` and returned before the line `before`.
    fn synced(&self, path: &Path, after: usize, before: usize) -> bool {
        let covers = |act: &Act| match act {
            Act::Sync(synced) => synced == path,
            Act::SyncFileSystem(_) => true,
            _ => false,
        };
        let within = |call: &&Call| call.ok && call.began > after && call.ended < before;
        self.calls.iter().filter(within).any(|call| covers(&call.act))
    }

    /// Whether the name that `call` made is synced before the line `before`.
    fn name_synced(&self, call: &Call, before: usize) -> bool {
        let dir = call.act.path().and_then(Path::parent);
        dir.is_some_and(|dir| self.synced(dir, call.ended, before))
    }

    /// What the job says to its user: it is back where it was, a commit is done, it has ended in order.
    fn reports(&self) -> impl Iterator<Item = (&'a str, &'a Call)> + '_ {
        self.calls.iter().filter_map(|call| match &call.act {
            Act::Say { stream: 1, text } => Some((text.as_str(), call)),
            Act::Say { text, .. } if text.contains(" started ") || text.contains(" committed ") => {
                Some((text.as_str(), call))
            }
            _ => None,
        })
    }
}

fn content_before_link(trace: &Trace<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for (from, to, link) in trace.final_links() {
        match trace.written(from, link.began) {
            None => told.push(format!("{} got a name, and nobody saw it written", to.display())),
            Some(written) if !trace.synced(from, written, link.began) => {
                told.push(format!("{} got a name before its content was synced", to.display()));
            }
            Some(_) => {}
        }
        if trace.written(from, usize::MAX) > trace.written(from, link.began) {
            told.push(format!("{} was written to after it got its name", to.display()));
        }
    }
    told
}

fn staged_before_seal(trace: &Trace<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for (epoch, seal) in trace.seals() {
        for (path, made) in staged(trace, epoch, seal.began) {
            let written = trace.written(path, seal.began).unwrap_or(made.ended);
            if !trace.synced(path, written, seal.began) {
                told.push(format!("epoch {epoch} was sealed before {} was synced", path.display()));
            }
            if !trace.name_synced(made, seal.began) {
                told.push(format!("epoch {epoch} was sealed before the name {} was synced", path.display()));
            }
        }
    }
    told
}

/// The staged files of an epoch that are there when the line `before` is reached.
fn staged<'a>(trace: &Trace<'a>, epoch: u64, before: usize) -> Vec<(&'a Path, &'a Call)> {
    let made =
        trace.calls.iter().filter(|call| call.ok && call.ended < before).filter_map(|call| match &call.act {
            Act::Open { path, writes: true } if path.starts_with(&trace.places.staging) => {
                Some((path.as_path(), call))
            }
            _ => None,
        });
    let is_gone = |path: &Path| {
        let removals = trace.calls.iter().filter(|call| call.ok && call.ended < before);
        removals.into_iter().any(|call| matches!(&call.act, Act::Remove(gone) if gone == path))
    };
    made.filter(|(path, _)| part_epoch(path) == Some(epoch) && !is_gone(path)).collect()
}

fn seal_before_publish(trace: &Trace<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for (epoch, to, link) in trace.publications() {
        let seal =
            trace.seals().find(|(sealed, seal)| *sealed == epoch && seal.ok && seal.ended < link.began);
        match seal {
            None => told.push(format!("{} was published before epoch {epoch} was sealed", to.display())),
            Some((_, seal)) if !trace.name_synced(seal, link.began) => {
                told.push(format!(
                    "{} was published before the seal of epoch {epoch} was synced",
                    to.display()
                ));
            }
            Some(_) => {}
        }
    }
    told
}

fn published_before_next_seal(trace: &Trace<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for (epoch, seal) in trace.seals() {
        for (_, to, link) in trace.publications().filter(|(_, _, link)| link.ok && link.ended < seal.began) {
            if !trace.name_synced(link, seal.began) {
                told.push(format!("epoch {epoch} was sealed before the name {} was synced", to.display()));
            }
        }
    }
    told
}

fn names_before_report(trace: &Trace<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for (text, report) in trace.reports() {
        let made = trace.calls.iter().filter(|call| call.ok && call.ended < report.began);
        for call in made {
            let name = match &call.act {
                Act::MakeDir(name) if name.starts_with(&trace.places.folder) => name,
                // A snapshot's name is synced with the next seal, before anything is dropped for it.
                Act::Link { to: name, .. }
                    if trace.places.is_output(name) || trace.places.is_sealed(name) =>
                {
                    name
                }
                _ => continue,
            };
            if !trace.name_synced(call, report.began) {
                told.push(format!("`{text}` was said before the name {} was synced", name.display()));
            }
        }
        let is_it =
            |epoch, seal: &Call| Some(epoch) == reported_epoch(text) && seal.ok && seal.ended < report.began;
        if reported_epoch(text).is_some() && !trace.seals().any(|(epoch, seal)| is_it(epoch, seal)) {
            told.push(format!("`{text}` was said before that epoch was sealed"));
        }
    }
    told
}

/// Of the words that tell of a commit.
fn reported_epoch(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("committed epoch=")?;
    rest.split(' ').next()?.parse().ok()
}

fn outputs_only_gain_links(trace: &Trace<'_>) -> Vec<String> {
    let is_wrong = |act: &Act| match act {
        Act::Open { path, writes: true } | Act::Write(path) | Act::Remove(path) => {
            trace.places.is_output(path)
        }
        Act::Rename { from, to } => [from, to].iter().any(|path| path.starts_with(&trace.places.folder)),
        _ => false,
    };
    let wrong = trace.calls.iter().filter(|call| is_wrong(&call.act));
    wrong
        .map(|call| {
            format!("an output gains links and nothing else happens to it: {} {:?}", call.name, call.act)
        })
        .collect()
}

fn removals_come_last(trace: &Trace<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for call in trace.calls.iter().filter(|call| call.ok) {
        let Act::Remove(path) = &call.act else { continue };
        let of_later = |(epoch, seal): (u64, &Call)| {
            trace.places.sealed_epoch(path) < Some(epoch) && seal.ok && trace.name_synced(seal, call.began)
        };
        if trace.places.is_sealed(path) && !trace.seals().any(of_later) {
            told.push(format!("{} was removed before a later one was synced", path.display()));
        }
        if path.starts_with(&trace.places.staging) && is_needed(trace, path, call) {
            told.push(format!("{} was removed before its published name was synced", path.display()));
        }
    }
    told
}

/// Whether a staged file is all that there certainly is of a sealed epoch's rows.
fn is_needed(trace: &Trace<'_>, path: &Path, removal: &Call) -> bool {
    let sealed = |(epoch, seal): (u64, &Call)| {
        Some(epoch) == part_epoch(path) && seal.ok && seal.ended < removal.began
    };
    let mut links = trace.final_links().filter(|(from, _, link)| *from == path && link.ok);
    match links.next() {
        Some((_, _, link)) => !trace.name_synced(link, removal.began),
        None => trace.seals().any(sealed),
    }
}

fn failed_syncs_are_final(trace: &Trace<'_>) -> Vec<String> {
    let mut told = Vec::new();
    for failed in trace.calls.iter().filter(|call| !call.ok && call.ended != usize::MAX) {
        let (Act::Sync(path) | Act::SyncFileSystem(path)) = &failed.act else { continue };
        let again =
            |call: &Call| call.act == failed.act && call.pid == failed.pid && call.began > failed.ended;
        if trace.calls.iter().any(again) {
            told.push(format!("{} was synced again after a sync that failed", path.display()));
        }
    }
    told
}

#[cfg(test)]
#[path = "sync_order_tests.rs"]
mod tests;
