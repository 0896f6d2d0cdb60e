//! A pretended exchange that sends over WebSocket: each connection is a test's to speak on and to end.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket, accept_hdr};

/// Takes connections, which wait until a test accepts them.
pub struct StreamServer {
    port: u16,
    connections: Receiver<TcpStream>,
    limit: Duration,
}

impl StreamServer {
    /// Begins to listen on a free port; nothing is awaited for longer than `limit`.
    ///
    /// # Panics
    /// There is no free port.
    pub fn start(limit: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (sender, connections) = channel();
        thread::spawn(move || {
            listener.incoming().map_while(Result::ok).try_for_each(|stream| sender.send(stream))
        });
        Self { port, connections, limit }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The next connection, after its handshake.
    ///
    /// # Errors
    /// None comes, or it is no WebSocket client.
    #[allow(clippy::result_large_err, reason = "the form of the library's callback")]
    pub fn accept(&self) -> Result<Peer> {
        let stream = self.next()?;
        let mut path = String::new();
        let note = |request: &Request, response: Response| {
            path = request.uri().to_string();
            Ok(response)
        };
        let socket = accept_hdr(stream, note).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Peer { socket, path })
    }

    /// Answers the next connection with a status and no more.
    ///
    /// # Errors
    /// None comes.
    pub fn refuse(&self, status: u16, header: &str) -> Result<()> {
        let mut stream = self.next()?;
        write!(stream, "HTTP/1.1 {status} No\r\n{header}\r\nContent-Length: 0\r\n\r\n")?;
        Ok(())
    }

    /// Takes the next connection and says nothing on it, for as long as it is kept.
    ///
    /// # Errors
    /// None comes.
    pub fn next(&self) -> Result<TcpStream> {
        let stream = self.connections.recv_timeout(self.limit).context("nobody connects")?;
        stream.set_read_timeout(Some(self.limit))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A connection.
pub struct Peer {
    socket: WebSocket<TcpStream>,
    /// What it asked for.
    pub path: String,
}

impl Peer {
    /// # Errors
    /// The connection is lost.
    pub fn say(&mut self, text: &str) -> Result<()> {
        Ok(self.socket.send(Message::text(text))?)
    }

    /// # Errors
    /// The connection is lost.
    pub fn say_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.socket.send(Message::binary(bytes.to_vec()))?)
    }

    /// Sends a ping and waits for its answer.
    ///
    /// # Errors
    /// Something else comes, or nothing.
    pub fn ping(&mut self, payload: &'static [u8]) -> Result<()> {
        self.socket.send(Message::Ping(payload.into()))?;
        match self.socket.read()? {
            Message::Pong(answer) if answer.as_ref() == payload => Ok(()),
            other => bail!("no answer to the ping: {other:?}"),
        }
    }

    /// Ends the connection without a word.
    ///
    /// # Errors
    /// It has ended already.
    pub fn cut(self) -> Result<()> {
        Ok(self.socket.get_ref().shutdown(Shutdown::Both)?)
    }

    /// Says farewell and waits for the answer.
    ///
    /// # Errors
    /// There is none.
    pub fn close(mut self, reason: &'static str) -> Result<()> {
        self.socket.close(Some(CloseFrame { code: CloseCode::Away, reason: reason.into() }))?;
        self.wait_for_end()
    }

    /// Waits until the other side ends the connection.
    ///
    /// # Errors
    /// It sends something.
    pub fn wait_for_end(&mut self) -> Result<()> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(_)) => {}
                Ok(other) => bail!("more comes: {other:?}"),
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    bail!("the connection is not ended")
                }
                Err(_) => return Ok(()),
            }
        }
    }
}
