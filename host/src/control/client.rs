//! Asking a running job.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};

use super::{Answer, SOCKET, SwapRequest};

/// Asks the job whose checkpoint directory `dir` is; `tell` hears each answer but the
/// last, which is given back.
///
/// # Errors
/// No job runs there, or it ended before it answered.
pub fn ask(
    dir: &Path,
    request: &SwapRequest,
    component: &[u8],
    tell: &mut dyn FnMut(&Answer) -> anyhow::Result<()>,
) -> anyhow::Result<Answer> {
    let mut connection = connect(dir)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let ended = "the job ended, or does not hear; see its log";
    // A job that does not want to hear all of it says why.
    let sent = connection.write_all(&line).and_then(|()| connection.write_all(component));
    for line in BufReader::new(connection).lines() {
        let answer: Answer =
            serde_json::from_str(&line.context(ended)?).context("the answer cannot be read")?;
        match answer {
            Answer::Plan(_) | Answer::Shadowing(_) | Answer::Shadowed(_) => tell(&answer)?,
            last => return Ok(last),
        }
    }
    sent.context(ended)?;
    bail!("{ended}")
}

fn connect(dir: &Path) -> anyhow::Result<UnixStream> {
    let folder = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    match UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())) {
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => bail!(
            "no job runs with the checkpoints in {}; start it, a changed plugin of a stopped job is swapped in while \
             it runs",
            dir.display()
        ),
        connected => connected.with_context(|| format!("cannot reach the job of {}", dir.display())),
    }
}
