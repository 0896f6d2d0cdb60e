//! A joined copy of an aggregate's output: the same rows in fewer files, in another folder. `places` says which
//! folders may be meant, `listing` what lies in them, `join` makes the files of one partition, `former` knows the
//! copy that was there before, and `scratch` is where the new one is written until it takes its place as a whole.
//!
//! The output is only read: no lock of the job is taken, and nothing of the job is asked. Everything that lies
//! under an output is committed and complete, which is all that this stands upon.

mod former;
mod join;
mod listing;
mod places;
mod report;
mod scratch;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::ensure;
use speed_layer_core::commit::{JobName, PartName};
use speed_layer_store::JoinedFile;

use former::Former;
use join::Join;
use listing::Listing;
use places::Places;
use scratch::Scratch;
use source::Source;

pub use report::Report;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub from: &'a Path,
    pub into: &'a Path,
    /// About how large a joined file is to be.
    pub file_bytes: u64,
}

/// Copies the files of `order.from` into `order.into`, joined. `told` gets the files that were taken so far, and of
/// how many.
///
/// # Errors
/// See docs/compaction.md. An earlier copy is as it was then.
pub fn compact(order: Order<'_>, told: &dyn Fn(u64, u64)) -> anyhow::Result<Report> {
    let places = Places::find(order.from, order.into)?;
    let listing = Listing::of(&places.from)?;
    ensure!(
        !listing.partitions.is_empty(),
        "{} has no Parquet file in it; give the output of an aggregate, as `host run` has it",
        order.from.display()
    );
    let former = Former::at(&places.into)?;
    former.refuse_lost_partitions(&listing)?;
    let scratch = Scratch::take(&places)?;
    let mut copy = Copy {
        order,
        places: &places,
        former,
        scratch: &scratch,
        output: None,
        files: (0, listing.files()),
        report: Report::new(order, listing.others),
        told,
    };
    for (path, names) in &listing.partitions {
        copy.partition(path, names)?;
    }
    let report = copy.report;
    scratch.publish(&places)?;
    Ok(report)
}

/// A copy that is being made.
struct Copy<'a> {
    order: Order<'a>,
    places: &'a Places,
    former: Former,
    scratch: &'a Scratch,
    /// Whose files they are, as the first of them says.
    output: Option<Output>,
    /// How many were taken, and how many there are.
    files: (u64, u64),
    report: Report,
    told: &'a dyn Fn(u64, u64),
}

/// What all files of an output have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub job: JobName,
    pub aggregate: String,
    pub key: Vec<String>,
    pub keep_key_column: bool,
    pub window_ms: i64,
}

impl Copy<'_> {
    /// Copies the files of one folder, or takes over what the earlier copy has of them.
    fn partition(&mut self, path: &str, names: &[PartName]) -> anyhow::Result<()> {
        let folder = self.places.from.join(path);
        let mut sources = Vec::new();
        for name in names {
            let source = Source::read(&folder, path, name)?;
            self.check_output(&source)?;
            self.report.from.add(source.file.bytes, source.file.rows);
            sources.push(source);
            self.files.0 += 1;
            (self.told)(self.files.0, self.files.1);
        }
        let former = self.former.partition(path)?;
        self.refuse_lost(path, names, &former)?;
        let to = self.scratch.partition(path)?;
        if former::is_same(&former, &sources, self.order.file_bytes)? {
            self.report.partitions_kept += 1;
            return former.iter().try_for_each(|file| {
                self.report.into.add(file.bytes, file.rows);
                scratch::link(&file.path, &to)
            });
        }
        self.report.partitions_joined += 1;
        for file in Join::new(&to, self.order.file_bytes).all(&sources)? {
            self.report.into.add(file.bytes, file.rows);
        }
        Ok(())
    }

    fn check_output(&mut self, source: &Source) -> anyhow::Result<()> {
        let own = source.output();
        let first = self.output.get_or_insert_with(|| own.clone());
        ensure!(
            *first == own,
            "{} is of {own}, and other files in {} are of {first}; give the output of one",
            source.file.path.display(),
            self.order.from.display()
        );
        Ok(())
    }

    /// An earlier copy with rows that the output has no more is not replaced.
    fn refuse_lost(&self, path: &str, names: &[PartName], former: &[JoinedFile]) -> anyhow::Result<()> {
        let there: BTreeSet<String> = names.iter().map(PartName::to_string).collect();
        let output = self.output.as_ref();
        for file in former {
            let (job, aggregate) = (&file.joined.job, &file.joined.aggregate);
            ensure!(
                output.is_none_or(|own| own.job == *job && own.aggregate == *aggregate),
                "{} is of a copy of aggregate {aggregate} of job {job}, not of {}; give another folder for the copy",
                file.path.display(),
                self.order.from.display()
            );
            let lost = file.joined.sources.iter().find(|source| !there.contains(&source.name));
            if let Some(lost) = lost {
                return Err(former::lost(&self.places.into, &format!("{path}/{}", lost.name)));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { job, aggregate, key, window_ms, .. } = self;
        write!(
            f,
            "aggregate {aggregate} of job {job} with key {} and windows of {window_ms} ms",
            key.join(", ")
        )
    }
}
