//! What is answered: a status, a type and a body, and how they are written to a connection that is then closed. An
//! answer that takes its time comes as lines of JSON, each as soon as there is one.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const JSON: &str = "application/json";
/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const LINES: &str = "application/x-ndjson";
/// A line must have been taken by then.
const LINE_TIME_MAX: Duration = Duration::from_secs(10);
/// Of every answer: nobody keeps it, guesses its type, frames it, or asks for it from another page; and a page of ours
/// loads nothing, runs nothing and sends nothing that is not ours.
const GUARDS: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
    Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\nContent-Security-Policy: default-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; object-src 'none'\r\nConnection: close\r\n";
/// What is still read of a request that is not wanted, so that its sender can hear the answer.
const REST_BYTES_MAX: usize = 32 << 20;
const REST_TIME_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    /// A header of this answer alone.
    header: Option<(&'static str, &'static str)>,
}

impl Answer {
    pub fn json(status: u16, value: &Value) -> Self {
        Self::text(status, JSON, format!("{value}\n"))
    }

    /// JSON that is written already.
    pub fn made(json: String) -> Self {
        Self::text(200, JSON, json)
    }

    pub fn text(status: u16, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, body, header: None }
    }

    /// `why` says what to do.
    pub fn error(status: u16, why: &str) -> Self {
        Self::json(status, &json!({ "error": why }))
    }

    pub fn metrics(text: String) -> Self {
        Self::text(200, METRICS, text)
    }

    /// The path is one, the method is none of these.
    pub fn only(allow: &'static str) -> Self {
        let why = format!("this path knows {allow} and no other method");
        Self { header: Some(("Allow", allow)), ..Self::error(405, &why) }
    }

    /// A token is wanted.
    pub fn unauthorized(why: &str) -> Self {
        Self { header: Some(("WWW-Authenticate", "Bearer")), ..Self::error(401, why) }
    }

    /// Writes it, its body only `with_body`, and ends the connection when the other side has heard it.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn send(&self, stream: &mut TcpStream, with_body: bool, deadline: Instant) -> std::io::Result<()> {
        self.write(stream, with_body, deadline)?;
        read_rest(stream);
        Ok(())
    }

    /// Writes it, its body only `with_body`, and nothing after it.
    ///
    /// # Errors
    /// Whoever asked has gone, or does not take it by `deadline`.
    pub fn write(&self, stream: &mut TcpStream, with_body: bool, deadline: Instant) -> std::io::Result<()> {
        let mut text = self.head();
        if with_body {
            text += &self.body;
        }
        write_by(stream, text.as_bytes(), deadline)?;
        stream.shutdown(Shutdown::Write)
    }

    fn head(&self) -> String {
        let more = self.header.map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"));
        let bytes = self.body.len();
        head(self.status, self.content_type, &format!("Content-Length: {bytes}\r\n{more}"))
    }
}

fn head(status: u16, content_type: &str, more: &str) -> String {
    let phrase = phrase(status);
    format!("HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\n{more}{GUARDS}\r\n")
}

/// An answer that comes line by line, and ends with the connection.
pub struct Lines<'a> {
    stream: &'a mut TcpStream,
    pub has_begun: bool,
}

impl<'a> Lines<'a> {
    pub fn new(stream: &'a mut TcpStream) -> Self {
        Self { stream, has_begun: false }
    }

    /// Writes one line, the head before the first.
    ///
    /// # Errors
    /// Whoever asked has gone, or does not take it in time.
    pub fn say(&mut self, line: &Value) -> std::io::Result<()> {
        let head = if self.has_begun { String::new() } else { head(200, LINES, "") };
        self.has_begun = true;
        write_by(self.stream, format!("{head}{line}\n").as_bytes(), Instant::now() + LINE_TIME_MAX)
    }

    /// There is no more.
    ///
    /// # Errors
    /// Whoever asked has gone.
    pub fn end(self) -> std::io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        read_rest(self.stream);
        Ok(())
    }

    /// Answers otherwise, as long as no line was said.
    ///
    /// # Errors
    /// As [`Self::say`].
    pub fn answer(self, answer: &Answer) -> std::io::Result<()> {
        answer.send(self.stream, true, Instant::now() + LINE_TIME_MAX)
    }
}

/// Has whoever waits with a body send it.
///
/// # Errors
/// They have gone.
pub fn go_on(stream: &mut TcpStream) -> std::io::Result<()> {
    write_by(stream, b"HTTP/1.1 100 Continue\r\n\r\n", Instant::now() + LINE_TIME_MAX)
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

fn write_by(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

/// Closing a connection of which not all was read would take the answer back.
fn read_rest(stream: &mut TcpStream) {
    let (deadline, mut read, mut into) = (Instant::now() + REST_TIME_MAX, 0, [0; 4096]);
    while read < REST_BYTES_MAX && Instant::now() < deadline {
        if stream.set_read_timeout(Some(REST_TIME_MAX)).is_err() {
            return;
        }
        match stream.read(&mut into) {
            Ok(0) | Err(_) => return,
            Ok(more) => read += more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_its_length_and_that_it_is_the_last() {
        let head = Answer::error(404, "no \"x\" here").head();
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"), "{head}");
        assert!(
            head.contains("\r\nContent-Length: 26\r\n") && head.ends_with("Connection: close\r\n\r\n"),
            "{head}"
        );
        assert_eq!(Answer::error(404, "no \"x\" here").body, "{\"error\":\"no \\\"x\\\" here\"}\n");
        assert!(Answer::only("GET, HEAD").head().contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(Answer::unauthorized("no").head().contains("\r\nWWW-Authenticate: Bearer\r\n"));
        assert!(
            !head.contains("\r\n\r\n ") && head.contains("\r\nContent-Security-Policy: default-src 'self'; "),
            "{head}"
        );
    }
}
