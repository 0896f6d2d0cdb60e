//! Asks the exchange for each symbol's 24-hour ticker, each symbol on a thread of its own
//! and at its own ticks, one question at a time. A question that fails is told and left out;
//! no question is asked twice.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use crossbeam_channel::{Receiver, Sender};
use tracing::{info, warn};
use ureq::http::{Response, header};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use super::address::escaped;
use super::hold::{Hold, reason_of, wait_asked};
use super::schedule::Schedule;
use super::skip::{Reason, Skip};
use super::ticker::{ANSWER_BYTES_MAX, Tick};
use super::{Address, News, Source, wait};

const PATH: &str = "/api/v3/ticker/24hr?symbol=";

/// What is asked, where, and how often.
pub struct Polls {
    pub address: Address,
    pub symbols: Vec<String>,
    pub interval: Duration,
    /// How long an answer may take, from the question to its last byte.
    pub timeout: Duration,
}

struct Shared {
    agent: Agent,
    address: Address,
    schedule: Schedule,
    hold: Hold,
}

impl Source for Polls {
    fn start(self: Box<Self>, news: Sender<News>, quit: Receiver<Infallible>) -> io::Result<()> {
        let agent = agent(self.timeout, self.symbols.len());
        info!(from = %self.address, symbols = self.symbols.join(","), "asking the exchange");
        let schedule = Schedule { start: Instant::now(), interval: self.interval };
        let shared = Arc::new(Shared { agent, address: self.address, schedule, hold: Hold::default() });
        for symbol in self.symbols {
            let (shared, news, quit) = (shared.clone(), news.clone(), quit.clone());
            let named = thread::Builder::new().name(format!("poll-{symbol}"));
            named.spawn(move || shared.poll(&symbol, &news, &quit))?;
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "binance"
    }
}

/// Redirects are not followed: an exchange's API has none, what stands between us and it may.
fn agent(timeout: Duration, symbols: usize) -> Agent {
    let roots = RootCerts::PlatformVerifier;
    let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(symbols)
        .max_idle_connections_per_host(symbols)
        .user_agent(concat!("speed-layer/", env!("CARGO_PKG_VERSION")));
    config.build().new_agent()
}

impl Shared {
    /// Ends when nobody listens any more.
    fn poll(&self, symbol: &str, news: &Sender<News>, quit: &Receiver<Infallible>) {
        let mut tick = 0;
        while wait(quit, self.schedule.due(tick)) {
            let told = if self.hold.holds_at(Instant::now()) { News::HeldBack } else { self.ask(symbol) };
            let next = self.schedule.next_after(tick, Instant::now());
            let missed = next - tick - 1;
            tick = next;
            if news.send(told).is_err() || missed > 0 && news.send(News::Missed(missed)).is_err() {
                return;
            }
        }
    }

    fn ask(&self, symbol: &str) -> News {
        match self.try_to_ask(symbol) {
            Ok(tick) => News::Tick(tick),
            Err(skip) => {
                warn!(symbol, reason = skip.reason.name(), "the poll is skipped: {skip}");
                News::Skipped(skip.reason)
            }
        }
    }

    fn try_to_ask(&self, symbol: &str) -> Result<Tick, Skip> {
        let mut request = self.agent.get(self.address.with(&format!("{PATH}{}", escaped(symbol))));
        if let Some(authorization) = self.address.authorization() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let mut answer = request.call().map_err(|error| failure(&error))?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX as u64).read_to_vec();
        if answer.status().is_success() {
            Tick::of_answer(&body.map_err(|error| failure(&error))?, symbol)
        } else {
            Err(self.refused(&answer, &body.unwrap_or_default()))
        }
    }

    fn refused(&self, answer: &Response<Body>, body: &[u8]) -> Skip {
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        if let Some(wait) = wait_asked(status, retry_after, Utc::now()) {
            self.hold.extend(Instant::now() + wait);
            let wait_s = wait.as_secs_f64();
            warn!(status, wait_s, "the exchange asks to be left alone: no symbol is polled meanwhile");
        }
        Skip::with_text(reason_of(status), &format!("HTTP status {status}"), body)
    }
}

/// An answer that did not come, or not whole.
fn failure(error: &ureq::Error) -> Skip {
    let reason = match error {
        ureq::Error::Timeout(_) => Reason::Timeout,
        ureq::Error::BodyExceedsLimit(_) | ureq::Error::LargeResponseHeader(..) => Reason::TooLarge,
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::TimedOut => Reason::Timeout,
        _ => Reason::Unreachable,
    };
    Skip::new(reason, format!("no whole answer ({error})"))
}
