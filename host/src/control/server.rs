//! The socket's owner: the running job, with a thread that waits for connections and one
//! for each of a few that are heard side by side: whoever asks for a swap while another
//! one is under way is told so at once, and can take that one back.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use speed_layer_store::StoreError;
use tracing::{debug, warn};

use super::message::Asked;
use super::message::component;
use super::swap::make;
use super::{Answer, SOCKET, SwapRequest};
use crate::job::Copier;
use crate::job::swap::Swapper;

/// Whoever says nothing for so long is not listened to any more.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// So many are heard at a time; each may have sent a component.
const CONNECTIONS_MAX: usize = 8;

/// The job's end of its control socket; the socket goes with it.
pub struct Server {
    path: PathBuf,
}

impl Server {
    /// Listens in `dir`, the job's checkpoint directory, which this process owns.
    ///
    /// # Errors
    /// There can be no socket.
    pub fn start(dir: &Path, swapper: Arc<Swapper>, copier: Copier) -> anyhow::Result<Self> {
        let path = dir.join(SOCKET);
        let listener = listen(dir, &path)?;
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || receive(&listener, &Arc::new(Job { swapper, copier })))
            .context("its thread cannot be started")?;
        Ok(Self { path })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A socket that is left behind is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The socket that an earlier process left is replaced: this one owns the job. It is made
/// in a folder that nobody else can enter, and gets its place when it is nobody else's to
/// write to. A socket's path may have no more than about a hundred bytes, so it is reached
/// by a descriptor.
fn listen(dir: &Path, path: &Path) -> Result<UnixListener, StoreError> {
    let closed = dir.join("control.new");
    let made = closed.join(SOCKET);
    match std::fs::remove_dir_all(&closed) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(io("remove", &closed)(cause)),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(&closed).map_err(io("make directory", &closed))?;
    let folder = File::open(&closed).map_err(io("open directory", &closed))?;
    let bound = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
    let listener = bound.map_err(io("make the control socket", &made))?;
    std::fs::set_permissions(&made, Permissions::from_mode(0o600)).map_err(io("set the rights of", &made))?;
    std::fs::rename(&made, path).map_err(io("name the control socket", path))?;
    std::fs::remove_dir(&closed).map_err(io("remove", &closed))?;
    Ok(listener)
}

/// Names the path of a failed call, and what to do.
fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    move |cause| StoreError::Io { action, path: path.to_owned(), cause }
}

/// What of the job can be asked.
struct Job {
    swapper: Arc<Swapper>,
    copier: Copier,
}

/// Gives each connection a thread, as long as there are not too many.
fn receive(listener: &UnixListener, job: &Arc<Job>) {
    let seats = Arc::new(());
    for connection in listener.incoming() {
        let outcome = connection.map_err(Into::into).and_then(|connection| {
            if Arc::strong_count(&seats) > CONNECTIONS_MAX {
                let why = format!("the job hears {CONNECTIONS_MAX} connections already; try again later");
                return say(&connection, &Answer::Failed(why));
            }
            let (job, seat) = (Arc::clone(job), Arc::clone(&seats));
            let hear = move || {
                hear(&connection, &job);
                drop(seat);
            };
            thread::Builder::new().name("asked".to_owned()).spawn(hear)?;
            Ok(())
        });
        if let Err(error) = outcome {
            debug!("a connection to the control socket failed: {error:#}");
        }
    }
}

fn hear(connection: &UnixStream, job: &Job) {
    let answered = serve(connection, job).or_else(|error| {
        warn!("what was asked on the control socket was refused: {error:#}");
        say(connection, &Answer::Failed(format!("{error:#}")))
    });
    if let Err(error) = answered {
        debug!("whoever asked did not wait for the answer: {error:#}");
    }
}

fn serve(connection: &UnixStream, job: &Job) -> anyhow::Result<()> {
    connection.set_read_timeout(Some(SILENCE_MAX))?;
    connection.set_write_timeout(Some(SILENCE_MAX))?;
    let mut reader = BufReader::new(connection);
    match Asked::read(&mut reader)? {
        Asked::Copies => give_copies(connection, &job.copier),
        Asked::Swap(asked) => swap(connection, &mut reader, *asked, &job.swapper),
    }
}

fn give_copies(mut connection: &UnixStream, copier: &Copier) -> anyhow::Result<()> {
    let copies = copier.copies()?;
    let bytes = copies.workers.iter().map(|copy| copy.len() as u64).collect();
    say(connection, &Answer::Copies { epoch: copies.epoch.0, bytes })?;
    copies.workers.iter().try_for_each(|copy| Ok(connection.write_all(copy)?))
}

fn swap(
    connection: &UnixStream,
    reader: &mut impl Read,
    asked: SwapRequest,
    swapper: &Swapper,
) -> anyhow::Result<()> {
    let max = swapper.runtime.limits().component_bytes_max;
    ensure!(
        asked.component_bytes <= max,
        "the component has {} bytes, more than the {max}",
        asked.component_bytes
    );
    let component = component(reader, asked.component_bytes)?;
    let last = make(asked, &component, swapper, &mut |answer| say(connection, answer))?;
    say(connection, &last)
}

fn say(mut connection: &UnixStream, answer: &Answer) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    Ok(connection.write_all(&line)?)
}
