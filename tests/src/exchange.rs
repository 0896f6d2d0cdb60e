//! A pretended exchange that is asked over HTTP, also over TLS: a test says what each question gets, this
//! remembers when each came. It does what it is told and knows no rules of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use native_tls::TlsAcceptor;

use crate::exchange_ticks;

/// What a question gets.
pub enum Answer {
    /// A status, more headers (each with its line's end), a body.
    Told(u16, String, Vec<u8>),
    /// The same after a while.
    Late(Duration, Box<Answer>),
    /// Half of a right answer, then the end of the connection.
    Cut,
    /// Nothing, for as long as the asker waits.
    Silence,
}

impl Answer {
    /// The ticker of this number.
    pub fn ticker(symbol: &str, number: u64) -> Self {
        Self::text(200, &exchange_ticks::answer(symbol, number))
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::Told(status, String::new(), body.as_bytes().to_vec())
    }

    /// Asks to be left alone for so many seconds.
    pub fn wait(status: u16, seconds: u32) -> Self {
        Self::Told(status, format!("Retry-After: {seconds}\r\n"), b"{\"code\":-1003}".to_vec())
    }
}

/// A question that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub symbol: String,
    pub at: Instant,
    /// The first line of the request.
    pub line: String,
    pub authorization: Option<String>,
}

type Script = dyn Fn(&str, u64) -> Answer + Send + Sync;

struct State {
    /// By the symbol and the number of the question for it, from 0.
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    changed: Condvar,
}

pub struct Exchange {
    port: u16,
    state: Arc<State>,
}

impl Exchange {
    /// Begins to listen on a free port.
    ///
    /// # Panics
    /// There is none.
    pub fn start(script: impl Fn(&str, u64) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(None, script)
    }

    /// The same, over TLS where an acceptor is given.
    ///
    /// # Panics
    /// There is no free port.
    pub fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&str, u64) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (asked, changed) = (Mutex::default(), Condvar::new());
        let state = Arc::new(State { script: Box::new(script), asked, changed });
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, tls) = (shared.clone(), tls.clone());
                // A connection that breaks is the asker's to notice.
                thread::spawn(move || drop(state.serve(stream, tls)));
            }
        });
        Self { port, state }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All questions so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().clone()
    }

    /// When each question for a symbol came.
    pub fn times(&self, symbol: &str) -> Vec<Instant> {
        self.asked().into_iter().filter(|asked| asked.symbol == symbol).map(|asked| asked.at).collect()
    }

    /// Waits until a symbol was asked for so many times.
    ///
    /// # Panics
    /// It is not within `limit`.
    pub fn wait_for(&self, symbol: &str, count: usize, limit: Duration) {
        let few =
            |asked: &mut Vec<Asked>| asked.iter().filter(|asked| asked.symbol == symbol).count() < count;
        let waited = self.state.changed.wait_timeout_while(self.state.lock(), limit, few);
        let (asked, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!outcome.timed_out(), "{symbol} was not asked for {count} times: {asked:?}");
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match tls {
            None => self.talk(stream.try_clone()?, &stream),
            Some(tls) => self.talk(tls.accept(stream.try_clone()?).map_err(io::Error::other)?, &stream),
        }
    }

    /// One question after the other.
    fn talk(&self, stream: impl Read + Write, tcp: &TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(asked) = read_question(&mut stream)? {
            let symbol = asked.symbol.clone();
            let number = {
                let mut all = self.lock();
                all.push(asked);
                all.iter().filter(|asked| asked.symbol == symbol).count() as u64 - 1
            };
            self.changed.notify_all();
            answer(&mut stream, (self.script)(&symbol, number), tcp)?;
        }
        Ok(())
    }
}

/// `None` at the end of the connection.
fn read_question(stream: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let line = head.first().cloned().unwrap_or_default();
    let symbol = line.split("symbol=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let headers = head.iter().filter_map(|line| line.split_once(": "));
    let mut authorizations = headers.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let authorization = authorizations.next().map(|(_, value)| value.to_owned());
    Ok(Some(Asked { symbol: symbol.to_owned(), at: Instant::now(), line, authorization }))
}

fn answer(stream: &mut BufReader<impl Read + Write>, what: Answer, tcp: &TcpStream) -> io::Result<()> {
    match what {
        Answer::Told(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} Told\r\n{headers}Content-Length: {length}\r\n\r\n");
            stream.get_mut().write_all(&[head.as_bytes(), &body].concat())
        }
        Answer::Late(wait, after) => {
            thread::sleep(wait);
            answer(stream, *after, tcp)
        }
        Answer::Cut => {
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n{\"symbol\":\"BTC")?;
            tcp.shutdown(Shutdown::Both)
        }
        Answer::Silence => stream.read(&mut [0]).map(drop),
    }
}
