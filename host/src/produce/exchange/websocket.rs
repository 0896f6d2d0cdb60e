//! Listens to the exchange's combined ticker stream over one connection, and connects again
//! whenever that is lost. It asks for nothing that it missed; it says what that was.

use std::convert::Infallible;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use chrono::DateTime;
use crossbeam_channel::{Receiver, Sender};
use tracing::{info, warn};

use super::address::escaped;
use super::backoff::Backoff;
use super::gaps::Gaps;
use super::skip::{Reason, Skip};
use super::ticker::{Tick, stream_of};
use super::wire::{End, Wire};
use super::{Address, News, Source, wait};

/// The exchange ends every connection after 24 hours.
const ORDINARY_AGE: Duration = Duration::from_secs(86_400 - 600);

/// What is listened to, where, and how patiently.
pub struct Stream {
    pub address: Address,
    pub symbols: Vec<String>,
    /// How long connecting may take.
    pub timeout: Duration,
    /// After how long without a message the connection is given up.
    pub stall: Duration,
}

impl Source for Stream {
    fn start(self: Box<Self>, news: Sender<News>, quit: Receiver<Infallible>) -> io::Result<()> {
        let named = thread::Builder::new().name("stream".into());
        named.spawn(move || self.listen(&news, &quit)).map(drop)
    }

    fn name(&self) -> &'static str {
        "websocket"
    }
}

/// Nobody listens to the news any more.
struct Unheard;

impl Stream {
    fn listen(&self, news: &Sender<News>, quit: &Receiver<Infallible>) {
        let mut hearing = Hearing { stream: self, news, gaps: Gaps::default(), backoff: Backoff::default() };
        let mut has_connected = false;
        loop {
            let Ok(asked) = hearing.once(&mut has_connected) else { return };
            let pause = hearing.backoff.next(fastrand::f64()).max(asked);
            if !wait(quit, Instant::now() + pause) {
                return;
            }
        }
    }

    fn path(&self) -> String {
        let streams: Vec<String> = self.symbols.iter().map(|symbol| escaped(&stream_of(symbol))).collect();
        format!("/stream?streams={}", streams.join("/"))
    }
}

struct Hearing<'a> {
    stream: &'a Stream,
    news: &'a Sender<News>,
    gaps: Gaps,
    backoff: Backoff,
}

impl Hearing<'_> {
    /// One connection from its beginning to its end; how long the exchange wants to be left
    /// alone after it.
    fn once(&mut self, has_connected: &mut bool) -> Result<Duration, Unheard> {
        let address = &self.stream.address;
        let mut wire = match Wire::open(address, &self.stream.path(), self.stream.timeout) {
            Ok(wire) => wire,
            Err(refused) => {
                let (reason, wait_s) = (refused.skip.reason.name(), refused.wait.as_secs_f64());
                warn!(reason, wait_s, "no connection to {address}: {}", refused.skip);
                self.tell(News::Skipped(refused.skip.reason))?;
                return Ok(refused.wait);
            }
        };
        info!(from = %address, symbols = self.stream.symbols.join(","), "listening to the exchange");
        if std::mem::replace(has_connected, true) {
            self.tell(News::Reconnected)?;
        }
        let began = Instant::now();
        let end = self.hear(&mut wire)?;
        self.gaps.broken();
        tell_of(&end, began.elapsed(), self.stream.stall);
        if let End::TooLarge(_) = end {
            self.tell(News::Skipped(Reason::TooLarge))?;
        }
        Ok(Duration::ZERO)
    }

    /// Until the connection ends.
    fn hear(&mut self, wire: &mut Wire) -> Result<End, Unheard> {
        loop {
            match wire.next(self.stream.stall) {
                Ok(message) => self.take(Tick::of_stream(&message, &self.stream.symbols))?,
                Err(end) => return Ok(end),
            }
        }
    }

    fn take(&mut self, told: Result<Tick, Skip>) -> Result<(), Unheard> {
        match told {
            Ok(tick) => {
                self.backoff.reset();
                self.tell_gap(tick.event_time_ms)?;
                self.tell(News::Tick(tick))
            }
            Err(skip) => {
                warn!(reason = skip.reason.name(), "a message is skipped: {skip}");
                self.tell(News::Skipped(skip.reason))
            }
        }
    }

    fn tell_gap(&mut self, event_time_ms: i64) -> Result<(), Unheard> {
        let Some(gap) = self.gaps.seen(Instant::now(), event_time_ms) else { return Ok(()) };
        let gap_ms = u64::try_from(gap.lasted.as_millis()).unwrap_or(u64::MAX);
        let (from, to) = (time_of(gap.from_ms), time_of(gap.to_ms));
        warn!(gap_ms, from, to, "a gap: nothing came between these event times");
        self.tell(News::Gap(gap))
    }

    fn tell(&self, news: News) -> Result<(), Unheard> {
        self.news.send(news).map_err(|_| Unheard)
    }
}

fn time_of(event_time_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(event_time_ms).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A farewell, or an end after a day, is nothing to worry about.
fn tell_of(end: &End, age: Duration, stall: Duration) {
    let age_s = age.as_secs();
    match end {
        End::Closed(told) => info!(age_s, "the exchange closed the connection ({told}); connecting again"),
        End::Cut(told) if age >= ORDINARY_AGE => {
            info!(age_s, "the connection ended after its day ({told}); connecting again");
        }
        End::Cut(told) => warn!(age_s, "the connection was cut ({told}); connecting again"),
        End::Stalled => {
            warn!(age_s, "no message came for {} ms; connecting again", stall.as_millis());
        }
        End::TooLarge(told) => warn!(age_s, "a message was too long ({told}); connecting again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_names_every_stream_in_lower_case() {
        let address = Address::parse("wss://stream.example.org:9443", ["ws", "wss"]).unwrap();
        let symbols = ["BTCUSDT", "ETH-1_X", "Ä1"].map(String::from).to_vec();
        let (timeout, stall) = (Duration::from_secs(1), Duration::from_secs(1));
        let stream = Stream { address, symbols, timeout, stall };
        assert_eq!(stream.path(), "/stream?streams=btcusdt@ticker/eth-1_x@ticker/%C3%A41@ticker");
    }
}
