//! A WebSocket connection on which no wait is longer than agreed: connecting and shaking
//! hands have one deadline, each message another. It reads messages and answers pings; what
//! they mean is not its business.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::http::{HeaderValue, Response, header};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::Address;
use super::hold::{reason_of, wait_asked};
use super::skip::{Reason, Skip, shown};
use super::ticker::ANSWER_BYTES_MAX;

/// A connection that is open.
pub struct Wire {
    socket: WebSocket<MaybeTlsStream<Patient>>,
    until: Rc<Cell<Instant>>,
}

/// Why there is no connection, and how long the exchange wants to be left alone.
#[derive(Debug)]
pub struct Refused {
    pub skip: Skip,
    pub wait: Duration,
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// The exchange said so.
    Closed(String),
    /// Without a word.
    Cut(String),
    /// Nothing came for too long.
    Stalled,
    /// A message that is too long, after which no other can be read.
    TooLarge(String),
}

impl Wire {
    /// Connects and shakes hands within `timeout`.
    ///
    /// # Errors
    /// Why not.
    pub fn open(address: &Address, path: &str, timeout: Duration) -> Result<Self, Refused> {
        let until = Rc::new(Cell::new(Instant::now() + timeout));
        let stream = Patient { tcp: connect(address, until.get())?, until: until.clone() };
        let config = WebSocketConfig::default()
            .max_message_size(Some(ANSWER_BYTES_MAX))
            .max_frame_size(Some(ANSWER_BYTES_MAX));
        let request = request(address, path).map_err(|error| unreachable(error.to_string()))?;
        match tungstenite::client_tls_with_config(request, stream, Some(config), None) {
            Ok((socket, _)) => Ok(Self { socket, until }),
            Err(HandshakeError::Failure(Error::Http(answer))) => Err(declined(&answer)),
            Err(_) if until.get() <= Instant::now() => {
                let told = format!("no connection within {} ms", timeout.as_millis());
                Err(Refused { skip: Skip::new(Reason::Timeout, told), wait: Duration::ZERO })
            }
            Err(HandshakeError::Failure(error)) => Err(unreachable(error.to_string())),
            Err(HandshakeError::Interrupted(_)) => Err(unreachable("the handshake was cut".into())),
        }
    }

    /// The next message; pings on the way are answered.
    ///
    /// # Errors
    /// None comes within `patience`, or the connection is lost.
    pub fn next(&mut self, patience: Duration) -> Result<Vec<u8>, End> {
        self.until.set(Instant::now() + patience);
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(text.as_bytes().to_vec()),
                Ok(Message::Binary(bytes)) => return Ok(bytes.to_vec()),
                Ok(Message::Close(frame)) => {
                    let told =
                        frame.map(|frame| format!("{} {:?}", frame.code, shown(frame.reason.as_bytes())));
                    // The answer to its farewell; it may be gone already.
                    let _ = self.socket.flush();
                    return Err(End::Closed(told.unwrap_or_else(|| "no reason given".into())));
                }
                // The answer to a ping is written before the next message is read.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::ConnectionClosed) => return Err(End::Closed("no reason given".into())),
                Err(Error::Capacity(error)) => return Err(End::TooLarge(error.to_string())),
                Err(_) if self.until.get() <= Instant::now() => return Err(End::Stalled),
                Err(error) => return Err(End::Cut(error.to_string())),
            }
        }
    }
}

fn connect(address: &Address, until: Instant) -> Result<TcpStream, Refused> {
    let named = (address.host(), address.port()).to_socket_addrs();
    let mut told = "the host's name has no address".to_owned();
    for place in named.map_err(|error| unreachable(error.to_string()))? {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&place, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => told = error.to_string(),
        }
    }
    Err(unreachable(told))
}

fn request(address: &Address, path: &str) -> Result<Request, Error> {
    let mut request = address.with(path).into_client_request()?;
    if let Some(authorization) = address.authorization() {
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_str(authorization)?);
    }
    Ok(request)
}

fn unreachable(told: String) -> Refused {
    Refused { skip: Skip::new(Reason::Unreachable, told), wait: Duration::ZERO }
}

fn declined(answer: &Response<Option<Vec<u8>>>) -> Refused {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait_asked(status, retry_after, Utc::now()).unwrap_or_default();
    let body = answer.body().as_deref().unwrap_or_default();
    Refused { skip: Skip::with_text(reason_of(status), &format!("HTTP status {status}"), body), wait }
}

/// A connection whose reads and writes end at a moment that is set from outside.
#[derive(Debug)]
struct Patient {
    tcp: TcpStream,
    until: Rc<Cell<Instant>>,
}

impl Patient {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.get().saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

/// TLS and WebSocket would ask again after a `WouldBlock`.
fn over(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        self.tcp.read(buffer).map_err(over)
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        self.tcp.write(bytes).map_err(over)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}
