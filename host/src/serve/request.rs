//! What was asked, taken from a connection: a request's line and headers, then its body where a path takes one, each
//! within limits of length and time. What it may ask for is decided elsewhere.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::answer::Answer;

/// A request's line and headers together.
const HEAD_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;
/// So much of a body is made room for before it comes.
const ROOM_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// As it stands behind the `?`.
    pub query: String,
    /// Whom the request is for, with the port; `None`: it does not say.
    pub host: Option<String>,
    /// The page that a browser asks for.
    pub origin: Option<String>,
    pub authorization: Option<String>,
    pub length: Length,
    /// Whoever asks sends the body once they are told to go on.
    pub waits: bool,
    /// What of the body came with the head.
    pub begun: Vec<u8>,
}

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Length {
    /// There is none.
    #[default]
    Unsaid,
    Bytes(u64),
    /// It is said as it comes, or in another way that nobody here knows.
    AsItComes,
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

    /// `None` where the head goes on after `bytes`.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Answer> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let head_bytes = match request.parse(bytes) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Answer::error(431, &format!("there are more than {HEADERS_MAX} headers")));
            }
            Err(cause) => return Err(Answer::error(400, &format!("this is no HTTP request: {cause}"))),
        };
        let target = request.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = &*request.headers;
        Ok(Some(Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            host: only(headers, "host")?,
            origin: only(headers, "origin")?,
            authorization: only(headers, "authorization")?,
            length: length(headers)?,
            waits: only(headers, "expect")?.is_some_and(|of| of.eq_ignore_ascii_case("100-continue")),
            begun: bytes[head_bytes..].to_vec(),
        }))
    }

    /// Whether a body follows.
    pub fn has_body(&self) -> bool {
        !matches!(self.length, Length::Unsaid | Length::Bytes(0))
    }

    /// How long the body is that comes, as long as that is no more than `bytes_max`.
    ///
    /// # Errors
    /// The answer to one that is too long, or whose length is not told before it comes.
    pub fn body_bytes(&self, bytes_max: u64) -> Result<u64, Answer> {
        match self.length {
            Length::Bytes(bytes) if bytes <= bytes_max => Ok(bytes),
            Length::Bytes(bytes) => {
                let why = format!("the body has {bytes} bytes, more than the {bytes_max} that one may have");
                Err(Answer::error(413, &why))
            }
            Length::Unsaid => Err(Answer::error(411, "send the body's length as Content-Length")),
            Length::AsItComes => {
                let why = "a body in chunks is not taken; send it in one piece, with its Content-Length";
                Err(Answer::error(501, why))
            }
        }
    }

    /// Takes the body of so many `bytes`.
    ///
    /// # Errors
    /// The answer to one that was cut, or did not come by `deadline`.
    pub fn body(&mut self, stream: &mut TcpStream, bytes: u64, deadline: Instant) -> Result<Vec<u8>, Answer> {
        let bytes = usize::try_from(bytes).map_err(|_| Answer::error(413, "the body is too long"))?;
        let mut body = std::mem::take(&mut self.begun);
        body.truncate(bytes);
        let mut room = vec![0; ROOM_BYTES_MAX];
        while body.len() < bytes {
            let wanted = room.len().min(bytes - body.len());
            match read_some(stream, &mut room[..wanted], deadline)? {
                0 => {
                    let why = format!("the body was cut: {} of its {bytes} bytes came", body.len());
                    return Err(Answer::error(400, &why));
                }
                more => body.extend_from_slice(&room[..more]),
            }
        }
        Ok(body)
    }
}

/// The value of a header that may be there once.
fn only(headers: &[httparse::Header<'_>], name: &str) -> Result<Option<String>, Answer> {
    let mut found = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let Some(header) = found.next() else { return Ok(None) };
    match (found.next(), std::str::from_utf8(header.value)) {
        (None, Ok(value)) => Ok(Some(value.trim().to_owned())),
        _ => Err(Answer::error(400, &format!("the header {name} is there twice, or is no text"))),
    }
}

fn length(headers: &[httparse::Header<'_>]) -> Result<Length, Answer> {
    let said = only(headers, "content-length")?;
    if only(headers, "transfer-encoding")?.is_some() {
        return Ok(Length::AsItComes);
    }
    let Some(said) = said else { return Ok(Length::Unsaid) };
    let is_number = !said.is_empty() && said.bytes().all(|digit| digit.is_ascii_digit());
    let bytes = said.parse().ok().filter(|_| is_number);
    bytes.map(Length::Bytes).ok_or_else(|| Answer::error(400, "the Content-Length is no number"))
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

    fn parse(head: &str) -> Result<Option<Request>, u16> {
        Request::parse(head.as_bytes()).map_err(|answer| answer.status)
    }

    fn check(head: &str, expected: Result<Option<(&str, &str, &str)>, u16>) {
        let found = parse(head);
        let found = found.as_ref().map(|request| {
            request.as_ref().map(|of| (of.method.as_str(), of.path.as_str(), of.query.as_str()))
        });
        assert_eq!(found.map_err(|status| *status), expected, "{head:?}");
    }

    #[test]
    fn a_request_is_a_method_a_path_and_a_query() {
        check("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some(("GET", "/metrics", ""))));
        check("GET /ready?now=1&x=? HTTP/1.0\r\n\r\n", Ok(Some(("GET", "/ready", "now=1&x=?"))));
        check("GET /metrics HTTP/1.1\r\nHost: x\r\n", Ok(None));
        check("", Ok(None));
        check("\u{1}\u{2}\u{3}\r\n\r\n", Err(400));
        check("GET / HTTP/9.1\r\n\r\n", Err(400));
        check("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Err(400));
        check(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)), Err(431));
    }

    fn check_body(headers: &str, expected: Result<u64, u16>) {
        let found = parse(&format!("POST / HTTP/1.1\r\n{headers}\r\n"));
        let found = found
            .and_then(|request| request.unwrap_or_default().body_bytes(100).map_err(|answer| answer.status));
        assert_eq!(found, expected, "{headers:?}");
    }

    #[test]
    fn a_body_says_its_length_before_it_comes() {
        check_body("content-length: 7\r\n", Ok(7));
        check_body("Content-Length: 100\r\n", Ok(100));
        check_body("Content-Length: 101\r\n", Err(413));
        check_body("Content-Length: 99999999999999999999999\r\n", Err(400));
        check_body("", Err(411));
        check_body("Transfer-Encoding: chunked\r\n", Err(501));
        check_body("Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", Err(501));
        for wrong in ["+7", "-7", "0x7", "", "7, 7", "seven"] {
            check_body(&format!("Content-Length: {wrong}\r\n"), Err(400));
        }
        check_body("Content-Length: 7\r\nContent-Length: 7\r\n", Err(400));
        let begun =
            parse("POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nab").unwrap().unwrap();
        assert_eq!((begun.begun.as_slice(), begun.waits, begun.has_body()), (&b"ab"[..], true, true));
    }

    /// What becomes of a body of five bytes of which `given` come before `is_cut`, or no more at all.
    fn check_comes(given: &[u8], is_cut: bool, expected: Result<&[u8], u16>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut sender, given).unwrap();
        if is_cut {
            sender.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut request = Request { begun: b"ab".to_vec(), ..Request::default() };
        let deadline = Instant::now() + Duration::from_millis(100);
        let body = request.body(&mut stream, 5, deadline).map_err(|answer| answer.status);
        assert_eq!(body.as_deref().map_err(|status| *status), expected, "{given:?}");
    }

    #[test]
    fn a_body_is_taken_whole_and_in_time_or_not_at_all() {
        check_comes(b"cde", false, Ok(b"abcde"));
        check_comes(b"cdefgh", false, Ok(b"abcde"));
        check_comes(b"cd", true, Err(400));
        check_comes(b"", true, Err(400));
        check_comes(b"cd", false, Err(408));
    }
}
