//! `host init`: a pipeline file to begin with, every key of it explained.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

/// The crypto job; what is left out of it stands there as a comment, with its default.
const PIPELINE: &str = include_str!("init/pipeline.toml");

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host init
  host init jobs/orders.toml
  host init - | less

What is in the file is a job that runs; `host check` says whether its plugins are there and fit.")]
pub struct InitArgs {
    /// The file to write; one that exists is left as it is; `-` is stdout
    #[arg(default_value = "pipeline.toml")]
    path: PathBuf,
}

pub fn run(args: &InitArgs) -> anyhow::Result<()> {
    let path = &args.path;
    if path.as_os_str() == "-" {
        return Ok(std::io::stdout().write_all(PIPELINE.as_bytes())?);
    }
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!(
                "{} is there already and is left as it is; name another file, or move it away",
                path.display()
            )
        }
        file => file.with_context(|| format!("{} cannot be made", path.display()))?,
    };
    file.write_all(PIPELINE.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))?;
    let shown = path.display();
    Ok(writeln!(std::io::stdout(), "wrote {shown}; next: host check {shown}, then host run {shown}")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, RunFlags};

    #[test]
    fn the_file_is_a_job_and_so_it_is_with_each_setting_taken_out_of_its_comment() {
        let folder = tempfile::tempdir().unwrap();
        let load = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            config::load(RunFlags { pipeline: Some(path), ..RunFlags::default() })
        };
        let plain = load("plain.toml", PIPELINE).unwrap();
        assert_eq!((plain.name.as_str(), plain.aggregates.len()), ("crypto", 1));
        let is_setting =
            |rest: &str| rest.starts_with(|first: char| first.is_ascii_lowercase()) && rest.contains(" = ");
        let mut settings = 0;
        for (at, line) in PIPELINE.lines().enumerate() {
            let Some(rest) = line.strip_prefix("# ").filter(|rest| is_setting(rest)) else { continue };
            let taken =
                PIPELINE.lines().enumerate().map(|(index, line)| if index == at { rest } else { line });
            let text = taken.collect::<Vec<_>>().join("\n");
            load("one.toml", &text).unwrap_or_else(|error| panic!("{rest}: {error}"));
            settings += 1;
        }
        assert!(settings > 30, "{settings}");
    }
}
