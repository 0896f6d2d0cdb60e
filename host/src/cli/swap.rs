//! `host swap`: another plugin for a stage of a running job, and `host swaps`: those that
//! were made before.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use speed_layer_core::commit::JobName;
use speed_layer_plugin::{Digest, read_signature};
use speed_layer_store::{CommitStore, inspect};

use super::checkpoint::{Format, plain};
use super::shadow;
use crate::control::{Answer, SwapRequest, ask};
use crate::job::swap::{Promote, Shadowing, Windows, history_path, read_component, read_history};
use crate::plan::StageName;
use crate::trust::to_hex;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SwapArgs {
    #[command(flatten)]
    job: RunningJob,
    #[arg(
        long,
        value_name = "STAGE",
        help = "Which stage: parse, transform[:NUMBER] (from 0) or aggregate[:NAME]"
    )]
    stage: StageName,
    /// The new plugin's component
    #[arg(value_name = "NEW.wasm", required_unless_present = "back")]
    plugin: Option<PathBuf>,
    /// Put the plugin before the present one back; a swap on probation is taken back as if it had never been
    #[arg(long, conflicts_with = "plugin")]
    back: bool,
    /// Say what it would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask a plugin of an older state version, too, whether it takes over the open windows
    #[arg(long)]
    allow_downgrade: bool,
    #[arg(
        long,
        conflicts_with = "reset_windows",
        help = "Make the open windows anew with the new plugin, from the topic's records up to the cut"
    )]
    rebuild: bool,
    #[arg(
        long,
        help = "Begin with the next window: the open windows' values so far go to <OUTPUT>.partial, rows of the present \
                one are withheld"
    )]
    reset_windows: bool,
    #[arg(
        long,
        value_name = "DIR",
        help = "Write the aggregate's windows to another folder from now on, where their columns cannot lie in the present one"
    )]
    output: Option<PathBuf>,
    #[arg(
        long,
        value_name = "BATCHES",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with_all = ["dry_run", "rebuild", "reset_windows"],
        help = "Run it beside the present one on so many batches first, and compare what both make of them"
    )]
    shadow: Option<u64>,
    /// Whether it takes over after that
    #[arg(long, value_enum, value_name = "WHEN", default_value = "equal", requires = "shadow")]
    promote: Promote,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

const EXAMPLES: &str = "Examples:
  host swap --checkpoint checkpoint --stage aggregate:daily ohlcv_upticks.wasm
  host swap --checkpoint checkpoint --stage parse ticker_json.wasm --dry-run
  host swap --checkpoint checkpoint --stage aggregate --back
  host swap --checkpoint checkpoint --stage aggregate:daily corrected.wasm --rebuild
  host swap --checkpoint checkpoint --stage aggregate:daily vwap.wasm --reset-windows --output out/vwap
  host swap --checkpoint checkpoint --stage aggregate:daily ohlcv_upticks.wasm --shadow 100

The job goes on while the plugin is compiled and checked. Then it is tried on the next
batches; a plugin that fails is taken out again, and nothing is lost. Exit code 0: the
plugin serves the job, and its next start too. 1: the old one does.";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host swaps --checkpoint checkpoint
  host swaps --checkpoint checkpoint --format json | jq '.[-1].outcome'")]
pub struct SwapsArgs {
    #[command(flatten)]
    job: RunningJob,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Which job.
#[derive(Debug, Args)]
struct RunningJob {
    /// The parent folder of the jobs' checkpoints, as `host run` has it, or one job's own
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// The job; needed where the folder holds several
    #[arg(long, value_name = "NAME", value_parser = JobName::new)]
    job: Option<JobName>,
}

impl RunningJob {
    /// Its own checkpoint directory.
    fn dir(&self) -> anyhow::Result<PathBuf> {
        Ok(inspect::find(&self.checkpoint, self.job.as_ref())?.place().into())
    }
}

impl SwapArgs {
    fn windows(&self) -> Windows {
        match (self.rebuild, self.reset_windows) {
            (true, _) => Windows::Rebuild,
            (_, true) => Windows::Reset,
            _ => Windows::TakeOver,
        }
    }

    /// The command line up to where more flags may follow.
    fn command(&self) -> String {
        let mut words = vec!["host swap --checkpoint".to_owned(), quoted(&self.job.checkpoint)];
        words.extend(self.job.job.iter().map(|job| format!("--job {job}")));
        words.push(format!("--stage {}", self.stage));
        words.push(self.plugin.as_deref().map_or_else(|| "--back".to_owned(), quoted));
        words.extend(self.allow_downgrade.then(|| "--allow-downgrade".to_owned()));
        words.join(" ")
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

pub fn run(args: &SwapArgs) -> anyhow::Result<()> {
    let dir = args.job.dir()?;
    let component = args.plugin.as_deref().map(read_component).transpose()?.unwrap_or_default();
    let signature = args.plugin.as_deref().map(read_signature).transpose()?.flatten();
    let stem = args.plugin.as_ref().and_then(|path| path.file_stem());
    let request = SwapRequest {
        stage: args.stage.to_string(),
        name: stem.map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        component_bytes: component.len() as u64,
        dry_run: args.dry_run,
        allow_downgrade: args.allow_downgrade,
        windows: args.windows(),
        output: args.output.as_deref().map(std::path::absolute).transpose()?,
        command: args.command(),
        shadow: args.shadow.map(|batches| Shadowing { batches, promote: args.promote }),
        signature: signature.as_deref().map(to_hex),
        asked_by: format!("uid {} pid {}", rustix::process::getuid().as_raw(), std::process::id()),
    };
    let mut heard = Heard { is_table: matches!(args.format, Format::Table), ..Heard::default() };
    match ask(&dir, &request, &component, &mut |answer| heard.hear(answer))? {
        Answer::Done(mut report) => {
            if let Some(shadow) = heard.shadow {
                report["shadow"] = shadow;
            }
            match args.format {
                Format::Json => write(&format!("{report:#}\n"))?,
                Format::Table => write(&outcome_lines(&report))?,
            }
            ended(&report, args)
        }
        Answer::Failed(why) => Err(refusal(args, &component, &why)),
        _ => match args.format {
            Format::Json => write(&format!("{:#}\n", heard.plan)),
            Format::Table => write("nothing was changed\n"),
        },
    }
}

/// What the job says before its last answer.
#[derive(Default)]
struct Heard {
    is_table: bool,
    plan: Value,
    progress: Value,
    /// What ran beside the stream, where the swap goes on after it.
    shadow: Option<Value>,
}

impl Heard {
    fn hear(&mut self, answer: &Answer) -> anyhow::Result<()> {
        match answer {
            Answer::Plan(plan) => {
                self.plan = plan.clone();
                if self.is_table { write(&plan_lines(plan)) } else { Ok(()) }
            }
            Answer::Shadowing(progress) if self.is_table && self.progress != *progress => {
                self.progress = progress.clone();
                Ok(std::io::stderr().write_all(shadow::progress_line(progress).as_bytes())?)
            }
            Answer::Shadowed(report) => {
                self.shadow = Some(report["shadow"].clone());
                if self.is_table { write(&shadow::lines(&report["shadow"])) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

fn refusal(args: &SwapArgs, component: &[u8], why: &str) -> anyhow::Error {
    let of = match &args.plugin {
        Some(path) => format!("to {} (sha256:{})", path.display(), Digest::of(component).short()),
        None => "back".to_owned(),
    };
    let stage = args.stage.to_string();
    anyhow!("the swap of {} {of} is refused, and nothing has changed: {why}", stage.trim_end_matches(':'))
}

/// The exit code says whether the plugin that was asked for serves the job now.
fn ended(report: &Value, args: &SwapArgs) -> anyhow::Result<()> {
    match report["outcome"].as_str() {
        Some("swapped") => Ok(()),
        Some("shadowed") if args.promote == Promote::Never => Ok(()),
        Some("shadowed") => bail!(
            "the output of {} differs, and nothing has changed; `--promote always` swaps it in all the same",
            named(&report["to"])
        ),
        Some("shadow_failed") => bail!(
            "the run of {} beside the stream ended before anything could be compared, and nothing has changed: {}",
            named(&report["to"]),
            plain(&report["why"])
        ),
        Some("taken_back") if args.back => Ok(()),
        Some("taken_back") => bail!(
            "{} was taken back by {} before it was committed, nothing is lost",
            named(&report["to"]),
            plain(&report["by"])
        ),
        Some("rolled_back") => bail!(
            "{} failed on probation and was taken out again, nothing is lost: {}",
            named(&report["to"]),
            plain(&report["why"])
        ),
        _ => bail!(
            "the swap of {} to {} is refused, and nothing has changed: {}",
            plain(&report["stage"]),
            named(&report["to"]),
            plain(&report["why"])
        ),
    }
}

pub fn list(args: &SwapsArgs) -> anyhow::Result<()> {
    let swaps = read_history(&history_path(&args.job.dir()?))?;
    match args.format {
        Format::Json => write(&format!("{:#}\n", json!(swaps))),
        Format::Table if swaps.is_empty() => write("no swap was tried yet\n"),
        Format::Table => write(&swaps.iter().map(history_line).collect::<String>()),
    }
}

fn write(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn plan_lines(plan: &Value) -> String {
    let mut text = format!(
        "{}: {} by {} ({})\n",
        plain(&plan["stage"]),
        named(&plan["from"]),
        named(&plan["to"]),
        plain(&plan["change"])
    );
    for of in plan["aggregates"].as_array().into_iter().flatten() {
        let versions = format!("{} to {}", of["state_version"][0], of["state_version"][1]);
        text += &format!("  aggregate {}: state version {versions}\n", plain(&of["aggregate"]));
        for (what, field) in [("state", "state"), ("output", "output")] {
            let changes = of[field].as_array().into_iter().flatten();
            changes.for_each(|change| text += &format!("    {what}: {}\n", plain(change)));
        }
        text += &windows_line(of);
    }
    text
}

/// What becomes of the open windows, where the change alone does not say it.
fn windows_line(of: &Value) -> String {
    let windows = match of["change"].as_str() {
        Some("reset") => "    the open windows are given up, the plugin begins with the next one\n",
        Some("rebuild") => "    the open windows are made anew, from the topic\n",
        _ => "",
    };
    let moved = of["moved_to"].as_str().map(|to| format!("    its windows go to {to} from now on\n"));
    format!("{windows}{}", moved.unwrap_or_default())
}

fn named(of: &Value) -> String {
    let digest = plain(&of["digest"]);
    format!("{} (sha256:{})", plain(&of["name"]), &digest[..digest.len().min(12)])
}

fn outcome_lines(report: &Value) -> String {
    match report["outcome"].as_str() {
        Some("swapped") => format!(
            "swapped with epoch {}, from {}; the stream stood for {:.1} ms, {:.1} of them until batches had ended\n",
            report["epoch"],
            marks(&report["from_offsets"]),
            report["pause_ms"].as_f64().unwrap_or_default(),
            report["hand_over_ms"].as_f64().unwrap_or_default()
        ),
        Some("taken_back") => format!(
            "{} was taken back before it was committed, and {} goes on from the cut\n",
            named(&report["to"]),
            named(&report["from"])
        ),
        Some("shadowed") => shadow::lines(&report["shadow"]),
        _ => String::new(),
    }
}

fn marks(of: &Value) -> String {
    let mark = |of: &Value| format!("{}/{}@{}", plain(&of["topic"]), of["partition"], of["offset"]);
    of.as_array().into_iter().flatten().map(mark).collect::<Vec<_>>().join(", ")
}

fn history_line(of: &Value) -> String {
    let what = format!(
        "{} {} {} by {}",
        plain(&of["at"]),
        plain(&of["stage"]),
        named(&of["from"]),
        named(&of["to"])
    );
    let outcome = match of["outcome"].as_str() {
        Some("swapped") if of["epoch"].is_null() => format!("swapped, from {}", marks(&of["from_offsets"])),
        Some("swapped") => format!("swapped with epoch {}, from {}", of["epoch"], marks(&of["from_offsets"])),
        Some("taken_back") => format!("taken back by {}", plain(&of["by"])),
        Some("shadowed") => {
            let verdict = if of["shadow"]["equal"] == true { "equal" } else { "different" };
            format!("shadowed, {verdict} in {} batches", of["shadow"]["batches"])
        }
        outcome => format!("{}: {}", outcome.unwrap_or_default().replace('_', " "), plain(&of["why"])),
    };
    format!("{what}, {}, asked by {}: {outcome}\n", plain(&of["change"]), plain(&of["asked_by"]))
}
