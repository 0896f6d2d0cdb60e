//! The connections: one thread that takes them, and one for each of a few that are answered side by side. A connection
//! is for one request; none outlives its limits of time, and the process's end waits for none.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tracing::{debug, info, warn};

use super::answer::Answer;
use super::board::Board;
use super::door::Door;
use super::request::Request;
use super::tables::Tables;
use super::{routes, swap};
use crate::config::{HttpSpec, JobSpec};

/// So many are answered at a time.
const CONNECTIONS_MAX: usize = 16;
/// A request must have come by then.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// And its answer must have been taken by then.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// For those that there is no place for.
const REFUSAL_TIME_MAX: Duration = Duration::from_millis(100);
/// After a failure to take a connection, which is mostly that there are too many files open.
const PAUSE: Duration = Duration::from_millis(100);

/// What requests are answered from.
pub struct Site {
    pub board: Arc<Board>,
    pub tables: Tables,
    pub door: Door,
    /// Held by each swap that is heard.
    pub swaps: Arc<()>,
}

impl Site {
    /// # Errors
    /// The token is none.
    pub fn of(http: &HttpSpec, spec: &JobSpec, board: &Arc<Board>) -> anyhow::Result<Self> {
        let door = Door::new(http)?;
        let tables = Tables::new(spec, door.token_env());
        Ok(Self { board: Arc::clone(board), tables, door, swaps: Arc::new(()) })
    }
}

/// Listens as `http` says, and answers from `board` and the tables of the job of `spec` until the process ends.
///
/// # Errors
/// The address cannot be had.
/// Or the token is none.
pub fn start(http: &HttpSpec, spec: &JobSpec, board: &Arc<Board>) -> anyhow::Result<()> {
    let site = Arc::new(Site::of(http, spec, board)?);
    let listener = bind(&http.listen)?;
    let address = listener.local_addr().context("the address for HTTP is not known")?;
    if !address.ip().is_loopback() {
        warn!(
            %address,
            "whoever reaches this address over the network can read metrics, windows, dead letters, plugins and swaps: there is no login"
        );
    }
    thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || take(&listener, &site))
        .context("the thread for HTTP cannot be started")?;
    info!("answering at http://{address}");
    Ok(())
}

fn bind(listen: &str) -> anyhow::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = listen
        .to_socket_addrs()
        .with_context(|| {
            format!("the host of `{listen}` (--http, [http] listen) is not known; name another")
        })?
        .collect();
    TcpListener::bind(&addresses[..]).map_err(|cause| {
        let what = match cause.kind() {
            ErrorKind::AddrInUse => {
                "another process listens there; end it, or name another port (0 takes a free one)"
            }
            ErrorKind::AddrNotAvailable => "this machine has no such address; name one of its own",
            ErrorKind::PermissionDenied => "this user may not listen there; name a port from 1024 on",
            _ => "name another address",
        };
        anyhow!("cannot listen on {listen} (--http, [http] listen): {cause}; {what}")
    })
}

/// Gives each connection a thread, as long as there are not too many.
fn take(listener: &TcpListener, site: &Arc<Site>) {
    let seats = Arc::new(());
    for connection in listener.incoming() {
        let taken = connection.and_then(|mut stream| {
            if Arc::strong_count(&seats) > CONNECTIONS_MAX {
                let why = format!("{CONNECTIONS_MAX} connections are open already; try again");
                return Answer::error(503, &why).write(&mut stream, true, Instant::now() + REFUSAL_TIME_MAX);
            }
            let (site, seat) = (Arc::clone(site), Arc::clone(&seats));
            let serve = move || {
                serve(&mut stream, &site);
                drop(seat);
            };
            thread::Builder::new().name("http-asked".to_owned()).spawn(serve).map(drop)
        });
        if let Err(cause) = taken {
            debug!("a connection for HTTP failed: {cause}");
            thread::sleep(PAUSE);
        }
    }
}

fn serve(stream: &mut TcpStream, site: &Site) {
    let begun = Instant::now();
    let answer = |stream: &mut TcpStream, answer: &Answer, with_body| {
        answer.send(stream, with_body, Instant::now() + ANSWER_TIME_MAX)
    };
    let served = match Request::read(stream, begun + REQUEST_TIME_MAX) {
        Ok(None) => Ok(()),
        Ok(Some(request)) => match site.door.enter(&request) {
            Ok(()) if routes::is_swap(&request) => swap::serve(stream, request, site),
            Ok(()) => answer(stream, &routes::answer(&request, site), request.method != "HEAD"),
            Err(refusal) => answer(stream, &refusal, request.method != "HEAD"),
        },
        Err(refusal) => answer(stream, &refusal, true),
    };
    if let Err(cause) = served {
        debug!("whoever asked over HTTP did not wait for the answer: {cause}");
    }
}
