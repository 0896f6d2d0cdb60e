//! `host dead-letters show`: letters with their records. What is in a record never reaches
//! the terminal as it is: it may have been written to do harm there.

use std::fmt::Write;

use arrow_cast::base64::{BASE64_STANDARD, Engine};
use clap::Args;
use serde_json::{Value, json};
use speed_layer_store::kept_letters::KeptLetter;

use super::LettersArgs;
use crate::cli::checkpoint::Format;
use crate::config::RunFlags;
use crate::letters::{Order, Selection, bytes_shown, place_of, text_shown};
use crate::times;

/// Shown of a key and of a value at most.
const BYTES_SHOWN_MAX: usize = 400;
const NAME_SHOWN_MAX: usize = 300;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host dead-letters show pipeline.toml
  host dead-letters show pipeline.toml --kind malformed-json --partition 3 --offset 1000..2000
  host dead-letters show pipeline.toml --late --limit 5
  host dead-letters show pipeline.toml --format json | jq -r '.letters[].value_base64 | values | @base64d'

Control characters, broken UTF-8 and long values are shown escaped and cut; as JSON the bytes are
whole, in base64. Give the job as to `host run`, or the folder with the letters.")]
pub struct ShowArgs {
    #[command(flatten)]
    letters: LettersArgs,
    /// So many letters at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Which come first
    #[arg(long, value_enum, default_value = "newest")]
    order: Order,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    job: RunFlags,
}

pub fn run(args: ShowArgs) -> anyhow::Result<()> {
    let kept = args.letters.kept(args.job)?;
    let selection = kept.select(&args.letters.filter(), args.order, args.limit)?;
    Ok(args.format.print(&report(&selection), |_| table(&selection))?)
}

fn report(selection: &Selection) -> Value {
    let letters = selection.letters.iter().map(letter_report);
    json!({ "matching": selection.matching, "letters": letters.collect::<Vec<_>>() })
}

fn letter_report(letter: &KeptLetter) -> Value {
    let base64 = |bytes: &Vec<u8>| BASE64_STANDARD.encode(bytes);
    let mut report = json!({
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp_ms": letter.timestamp_ms,
        "key_base64": letter.key.as_ref().map(base64),
        "value_base64": letter.value.as_ref().map(base64),
        "kind": letter.kind,
        "message": letter.message,
        "stage": letter.stage,
        "aggregate": letter.aggregate,
        "plugin_digest": letter.plugin_digest,
        "epoch": letter.epoch,
    });
    if let Some(missed) = letter.missed {
        report["window_start_ms"] = missed.start_ms.into();
        report["window_end_ms"] = missed.end_ms.into();
        report["late_by_ms"] = missed.late_by_ms.into();
    }
    report
}

fn table(selection: &Selection) -> String {
    let mut text = String::new();
    selection.letters.iter().for_each(|letter| letter_lines(&mut text, letter));
    let _ = writeln!(text, "{} of {} letters", selection.letters.len(), selection.matching);
    text
}

fn letter_lines(text: &mut String, letter: &KeptLetter) {
    let name = |of: &str| text_shown(of, NAME_SHOWN_MAX);
    let _ = writeln!(text, "{}  {}", name(&place_of(letter)), name(&letter.kind));
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "  {what:10} {value}");
    };
    line("message", &text_shown(&letter.message, 4 * BYTES_SHOWN_MAX));
    let aggregate = letter.aggregate.as_ref().map(|of| format!(" of {}", name(of))).unwrap_or_default();
    line("stage", &format!("{}{aggregate}, epoch {}", name(&letter.stage), letter.epoch));
    let plugin = letter.plugin_digest.as_ref().map(|digest| format!("sha256:{}", name(digest)));
    line("plugin", plugin.as_deref().unwrap_or("-"));
    line("timestamp", &letter.timestamp_ms.map_or_else(|| "-".to_owned(), time));
    if let Some(missed) = letter.missed {
        let window = format!("{} to {}", time(missed.start_ms), time(missed.end_ms));
        line("window", &format!("{window}, late by {} ms", missed.late_by_ms));
    }
    let bytes = |of: &Option<Vec<u8>>| {
        of.as_ref().map_or_else(|| "- (none)".to_owned(), |bytes| bytes_shown(bytes, BYTES_SHOWN_MAX))
    };
    line("key", &bytes(&letter.key));
    line("value", &bytes(&letter.value));
}

/// Milliseconds since 1970 as a date; those beyond any calendar as they are.
fn time(ms: i64) -> String {
    times::rfc3339(ms).unwrap_or_else(|| ms.to_string())
}
