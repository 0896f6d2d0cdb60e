//! `host checkpoint verify`: every file that counts, compared with what was written.

use std::fmt::Write;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use speed_layer_store::CommitStore;
use speed_layer_store::verify::{Finding, Verdict, Verification, verify};

use super::{Format, JobArgs, plain};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host checkpoint verify --checkpoint checkpoint
  host checkpoint verify checkpoint --job daily --format json

The exit code is 1 if anything is wrong. The job may be running.")]
pub struct VerifyArgs {
    #[command(flatten)]
    job: JobArgs,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let store = args.job.store()?;
    let found = verify(&store)?;
    let (wrong, all) = (found.wrong(), found.checkpoints.len() + found.files.len());
    let report = json!({
        "job": store.job(),
        "checkpoint": store.place(),
        "files_looked_at": all,
        "wrong": wrong,
        "clean": found.clean,
        "checkpoints": findings(&found.checkpoints),
        "published": findings(&found.files),
    });
    args.format.print(&report, |report| table(report, &found))?;
    if wrong > 0 {
        bail!(
            "{wrong} of the {all} files of job {} are not as they were written; each is named above",
            store.job()
        );
    }
    Ok(())
}

fn findings(of: &[Finding]) -> Vec<Value> {
    of.iter().map(finding).collect()
}

fn finding(of: &Finding) -> Value {
    let mut shown = json!({ "file": of.path.display().to_string(), "epoch": of.epoch });
    match &of.verdict {
        Verdict::Whole(bytes) => {
            shown["verdict"] = "whole".into();
            shown["bytes"] = (*bytes).into();
        }
        Verdict::Staged => shown["verdict"] = "staged".into(),
        Verdict::Wrong { what, advice } => {
            shown["verdict"] = "wrong".into();
            shown["what"] = what.as_str().into();
            shown["advice"] = advice.as_str().into();
        }
    }
    shown
}

fn table(report: &Value, found: &Verification) -> String {
    let mut text = String::new();
    let listed = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    for one in listed("checkpoints").iter().chain(&listed("published")) {
        let _ = writeln!(text, "{:7} {}", plain(&one["verdict"]), plain(&one["file"]));
        if one["verdict"] == "wrong" {
            let _ = writeln!(text, "        {}; {}", plain(&one["what"]), plain(&one["advice"]));
        }
    }
    if found.clean {
        text.push_str(
            "the job ended in order: its published files are their owner's and were not looked for\n",
        );
    }
    let _ = writeln!(text, "{} files, {} wrong", report["files_looked_at"], report["wrong"]);
    text
}
