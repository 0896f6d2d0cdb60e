//! What is answered: a status, a type and a body, and how they are written to a connection that is then closed.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const JSON: &str = "application/json";
/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What is still read of a request that is not wanted, so that its sender can hear the answer.
const REST_BYTES_MAX: usize = 64 << 10;
const REST_TIME_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    /// The methods that the path knows, where another was used.
    allow: Option<&'static str>,
}

impl Answer {
    pub fn json(status: u16, value: &Value) -> Self {
        Self { status, content_type: JSON, body: format!("{value}\n"), allow: None }
    }

    /// `why` says what to do.
    pub fn error(status: u16, why: &str) -> Self {
        Self::json(status, &json!({ "error": why }))
    }

    pub fn metrics(text: String) -> Self {
        Self { status: 200, content_type: METRICS, body: text, allow: None }
    }

    /// The path is one, the method is none of these.
    pub fn only(allow: &'static str) -> Self {
        let why = format!("this path knows {allow} and no other method");
        Self { allow: Some(allow), ..Self::error(405, &why) }
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
        let (status, phrase, bytes) = (self.status, phrase(self.status), self.body.len());
        let allow = self.allow.map_or_else(String::new, |allow| format!("Allow: {allow}\r\n"));
        let content_type = self.content_type;
        format!(
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {bytes}\r\n{allow}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
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
    }
}
