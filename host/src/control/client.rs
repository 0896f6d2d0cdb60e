//! Asking a running job.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};
use speed_layer_core::commit::Epoch;

use super::message::{CopyRequest, CopyWord, component};
use super::{Answer, SOCKET, SwapRequest};
use crate::job::Copies;

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

/// Copies of what the job whose checkpoint directory `dir` is has folded since its last commit, and that commit;
/// `None` where no job runs there.
///
/// # Errors
/// It ended before it answered, or answers something else.
pub fn copies(dir: &Path) -> anyhow::Result<Option<Copies>> {
    let ended = "the job ended, or does not hear; see its log";
    let Some(mut connection) = reach(dir)? else { return Ok(None) };
    let mut line = serde_json::to_vec(&CopyRequest { ask: CopyWord::Copies })?;
    line.push(b'\n');
    connection.write_all(&line).context(ended)?;
    let mut reader = BufReader::new(connection);
    let mut answer = String::new();
    reader.read_line(&mut answer).context(ended)?;
    match serde_json::from_str(&answer).context(ended)? {
        Answer::Copies { epoch, bytes } => {
            let copies = bytes.into_iter().map(|bytes| component(&mut reader, bytes).context(ended));
            Ok(Some(Copies { epoch: Epoch(epoch), workers: copies.collect::<anyhow::Result<_>>()? }))
        }
        Answer::Failed(why) => bail!("the job gives no copy of what it has not committed: {why}"),
        _ => bail!("the job gives another answer; is `host` of the same version as the running job?"),
    }
}

fn connect(dir: &Path) -> anyhow::Result<UnixStream> {
    reach(dir)?.with_context(|| {
        format!(
            "no job runs with the checkpoints in {}; start it, a changed plugin of a stopped job is swapped in while \
             it runs",
            dir.display()
        )
    })
}

/// `None` where no job listens.
fn reach(dir: &Path) -> anyhow::Result<Option<UnixStream>> {
    let folder = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    match UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())) {
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        connected => {
            connected.map(Some).with_context(|| format!("cannot reach the job of {}", dir.display()))
        }
    }
}
