//! Asking over HTTP with nothing but a socket, so that wrong requests can be made as well.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What was answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// # Panics
    /// The body is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The values of a body with one a line.
    ///
    /// # Panics
    /// A line is no JSON.
    pub fn lines(&self) -> Vec<Value> {
        let value =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.body.lines().map(value).collect()
    }
}

/// Asks for a path.
///
/// # Errors
/// Nobody answers, or not as HTTP wants it.
pub fn get(address: &str, path: &str) -> Result<Reply> {
    say(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())
}

/// Says these bytes and reads what comes until the connection ends.
///
/// # Errors
/// As [`get`].
pub fn say(address: &str, bytes: &[u8]) -> Result<Reply> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("nobody is at {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(bytes)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    read(&String::from_utf8(text)?)
}

/// What was said until the connection ended.
///
/// # Errors
/// It is no answer, or not as long as it says.
pub fn read(text: &str) -> Result<Reply> {
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no head: {text:?}"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.split(' ').next());
    let status = status.with_context(|| format!("no status: {head}"))?.parse()?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let reply = Reply { status, headers, body: body.to_owned() };
    if reply.header("content-type") == Some("application/x-ndjson") {
        return Ok(reply);
    }
    let length = reply.header("content-length").context("no length")?.parse::<usize>()?;
    ensure!(length == body.len() || body.is_empty(), "{length} bytes were announced: {text:?}");
    Ok(reply)
}

/// Asks for a path until the answer is what is wanted.
///
/// # Panics
/// It is not, for a minute.
pub fn await_reply(address: &str, path: &str, is_it: impl Fn(&Reply) -> bool) -> Reply {
    let deadline = Instant::now() + LIMIT;
    loop {
        let reply = get(address, path);
        match reply {
            Ok(reply) if is_it(&reply) => return reply,
            reply => assert!(Instant::now() < deadline, "{path} is not as wanted: {reply:?}"),
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_strictly() {
        let reply =
            read("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nA-B: c\r\n\r\n{}\n").expect("a reply");
        assert_eq!((reply.status, reply.header("a-b"), reply.body.as_str()), (404, Some("c"), "{}\n"));
        assert_eq!(reply.json(), serde_json::json!({}));
        for wrong in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
