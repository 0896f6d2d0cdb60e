//! What was asked, taken from a connection: a request's line and headers, within limits of length and time. A body is
//! refused, since nothing here takes one.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::answer::Answer;

/// A request's line and headers together.
const HEAD_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
}

impl Request {
    /// The request that a connection begins with; `None` where it ended without one.
    ///
    /// # Errors
    /// The answer to what is no request, is too long, or did not come by `deadline`.
    pub fn read(stream: &mut TcpStream, deadline: Instant) -> Result<Option<Self>, Answer> {
        let mut head = vec![0; HEAD_BYTES_MAX];
        let mut filled = 0;
        loop {
            match read_some(stream, &mut head[filled..], deadline)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(Answer::error(400, "the request was cut short")),
                more => filled += more,
            }
            if let Some(request) = Self::parse(&head[..filled])? {
                return Ok(Some(request));
            }
            if filled == HEAD_BYTES_MAX {
                let why = format!("the request's line and headers are longer than {HEAD_BYTES_MAX} bytes");
                return Err(Answer::error(431, &why));
            }
        }
    }

    /// `None` where it goes on after `head`.
    fn parse(head: &[u8]) -> Result<Option<Self>, Answer> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Answer::error(431, &format!("there are more than {HEADERS_MAX} headers")));
            }
            Err(cause) => return Err(Answer::error(400, &format!("this is no HTTP request: {cause}"))),
        }
        refuse_body(request.headers)?;
        let path = request.path.unwrap_or_default();
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        Ok(Some(Self { method: request.method.unwrap_or_default().to_owned(), path: path.to_owned() }))
    }
}

fn refuse_body(headers: &[httparse::Header<'_>]) -> Result<(), Answer> {
    let has_body = |header: &httparse::Header<'_>| {
        header.name.eq_ignore_ascii_case("transfer-encoding")
            || header.name.eq_ignore_ascii_case("content-length") && header.value != b"0"
    };
    match headers.iter().any(has_body) {
        true => Err(Answer::error(413, "no path here takes a body; send none")),
        false => Ok(()),
    }
}

/// At least one byte, or none at the stream's end.
fn read_some(stream: &mut TcpStream, into: &mut [u8], deadline: Instant) -> Result<usize, Answer> {
    let late = || Answer::error(408, "the request did not come in time");
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) || stream.set_read_timeout(Some(left)).is_err() {
            return Err(late());
        }
        match stream.read(into) {
            Ok(bytes) => return Ok(bytes),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(late());
            }
            // Whoever asked has gone, as one that says nothing.
            Err(_) => return Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Result<Option<(&str, &str)>, u16>) {
        let found = Request::parse(head.as_bytes());
        let found = found
            .as_ref()
            .map(|request| request.as_ref().map(|request| (request.method.as_str(), request.path.as_str())));
        assert_eq!(found.map_err(|answer| answer.status), expected, "{head:?}");
    }

    #[test]
    fn a_request_is_a_method_and_a_path_without_a_body() {
        check("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some(("GET", "/metrics"))));
        check("GET /ready?now=1&x=? HTTP/1.0\r\n\r\n", Ok(Some(("GET", "/ready"))));
        check("POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", Ok(Some(("POST", "/"))));
        check("GET /metrics HTTP/1.1\r\nHost: x\r\n", Ok(None));
        check("", Ok(None));
        check("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", Err(413));
        check("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Err(413));
        check("\u{1}\u{2}\u{3}\r\n\r\n", Err(400));
        check("GET / HTTP/9.1\r\n\r\n", Err(400));
        check(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)), Err(431));
    }
}
