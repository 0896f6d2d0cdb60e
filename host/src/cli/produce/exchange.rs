//! `host produce --from binance` and `--from websocket`: what can be said of an exchange, and
//! how such a run ends.

use std::io::Write;
use std::time;

use anyhow::{Context, bail};
use clap::Args;
use crossbeam_channel::Receiver;
use speed_layer_core::time::Duration;
use speed_layer_kafka::Connection;
use tracing::info;

use super::ProduceArgs;
use crate::config::ConfigError;
use crate::produce::exchange::{self, Address, Plan, Polls, Source, Stream};

/// The exchange allows a connection 1,024 streams and an address 6,000 points a minute, of
/// which a poll costs two.
const SYMBOLS_MAX: usize = 1_000;
const SYMBOL_LETTERS_MAX: usize = 50;
const DEFAULT_SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    Polled,
    Streamed,
}

impl Exchange {
    /// The exchange that `--from` names, if it names one.
    pub fn named(from: &str) -> Option<Self> {
        match from {
            "binance" => Some(Self::Polled),
            "websocket" => Some(Self::Streamed),
            _ => None,
        }
    }

    fn schemes(self) -> [&'static str; 2] {
        match self {
            Self::Polled => ["http", "https"],
            Self::Streamed => ["ws", "wss"],
        }
    }

    fn url(self) -> &'static str {
        match self {
            Self::Polled => "https://api.binance.com",
            Self::Streamed => "wss://stream.binance.com:9443",
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "An exchange")]
pub struct ExchangeArgs {
    #[arg(
        long,
        value_name = "URL",
        help = "Where it is [default: https://api.binance.com or wss://stream.binance.com:9443]"
    )]
    url: Option<String>,
    /// How often each symbol is asked for [default: 1s]
    #[arg(long, value_name = "DURATION")]
    interval: Option<Duration>,
    /// How long an answer, or connecting, may take [default: 5s]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// After how long without a message a stream is connected again [default: 30s]
    #[arg(long, value_name = "DURATION")]
    stall: Option<Duration>,
}

impl ExchangeArgs {
    /// The flags of it that are given.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("--url", self.url.is_some()),
            ("--interval", self.interval.is_some()),
            ("--timeout", self.timeout.is_some()),
            ("--stall", self.stall.is_some()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag)
    }
}

/// Refuses what only an exchange understands.
pub fn refuse_for_others(args: &ExchangeArgs) -> Result<(), ConfigError> {
    match args.given().next() {
        Some(flag) => Err(ConfigError::invalid(flag, "it is for --from binance and --from websocket")),
        None => Ok(()),
    }
}

/// What comes from where, as the command line says.
pub fn source(args: &ProduceArgs, exchange: Exchange) -> Result<Box<dyn Source>, ConfigError> {
    refuse_of_others(args, exchange)?;
    let told = &args.exchange;
    let url = told.url.as_deref().unwrap_or(exchange.url());
    let address = Address::parse(url, exchange.schemes());
    let address = address.map_err(|problem| ConfigError::invalid("--url", problem))?;
    let symbols = symbols(&args.symbols)?;
    let timeout = length("--timeout", told.timeout, 5)?;
    Ok(match exchange {
        Exchange::Polled => {
            Box::new(Polls { address, symbols, interval: length("--interval", told.interval, 1)?, timeout })
        }
        Exchange::Streamed => {
            Box::new(Stream { address, symbols, timeout, stall: length("--stall", told.stall, 30)? })
        }
    })
}

/// Runs until `--count` or `stop`, and prints the summary.
pub fn run(
    source: Box<dyn Source>,
    connection: &Connection,
    args: &ProduceArgs,
    stop: &Receiver<()>,
) -> anyhow::Result<()> {
    let name = source.name();
    let plan = Plan { topic: &args.topic, count: args.count };
    let tally = exchange::run(source, connection, plan, stop)?;
    writeln!(std::io::stdout(), "{}", tally.to_json(name))
        .context("the summary cannot be written to stdout")?;
    if tally.lost > 0 {
        bail!(
            "{} of {} messages were not acknowledged by the brokers at {}; the log names each",
            tally.lost,
            tally.messages,
            connection.brokers()
        );
    }
    info!(messages = tally.delivered, topic = args.topic, "delivered");
    Ok(())
}

fn refuse_of_others(args: &ProduceArgs, exchange: Exchange) -> Result<(), ConfigError> {
    let of_synthetic = "it is for synthetic ticks and files; an exchange gives what it gives";
    let of_polls = "it is for --from binance; a stream sends when it likes";
    let of_stream = "it is for --from websocket; a poll that is not answered in --timeout is skipped";
    let polled = exchange == Exchange::Polled;
    let wrong = [
        ("--rate", args.rate.is_some(), of_synthetic),
        ("--days", args.days.is_some(), of_synthetic),
        ("--interval", !polled && args.exchange.interval.is_some(), of_polls),
        ("--stall", polled && args.exchange.stall.is_some(), of_stream),
    ];
    match wrong.into_iter().find(|(_, is_given, _)| *is_given) {
        Some((flag, _, why)) => Err(ConfigError::invalid(flag, why)),
        None => Ok(()),
    }
}

fn length(flag: &str, given: Option<Duration>, default_s: u64) -> Result<time::Duration, ConfigError> {
    match given.map(Duration::as_ms) {
        None => Ok(time::Duration::from_secs(default_s)),
        Some(0) => Err(ConfigError::invalid(flag, "0 is no length of time here; give one such as 1s")),
        Some(ms) => Ok(time::Duration::from_millis(ms)),
    }
}

/// As the exchange writes them, each once.
fn symbols(given: &[String]) -> Result<Vec<String>, ConfigError> {
    let invalid = |problem: String| ConfigError::invalid("--symbols", problem);
    if given.is_empty() {
        return Ok(DEFAULT_SYMBOLS.map(String::from).to_vec());
    }
    if given.len() > SYMBOLS_MAX {
        let problem = format!("{} symbols are more than {SYMBOLS_MAX}; run several processes", given.len());
        return Err(invalid(problem));
    }
    let mut symbols: Vec<String> = Vec::new();
    for text in given {
        let symbol = text.trim().to_uppercase();
        if !is_symbol(&symbol) {
            return Err(invalid(format!("{text:?} is no symbol; give names such as BTCUSDT,ETHUSDT")));
        }
        if symbols.contains(&symbol) {
            return Err(invalid(format!("{symbol} is there twice")));
        }
        symbols.push(symbol);
    }
    Ok(symbols)
}

fn is_symbol(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    (1..=SYMBOL_LETTERS_MAX).contains(&text.chars().count()) && text.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[&str], expected: Result<&[&str], &str>) {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        match (symbols(&given), expected) {
            (Ok(symbols), Ok(expected)) => assert_eq!(symbols, expected),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (found, expected) => panic!("{found:?} for {expected:?}"),
        }
    }

    #[test]
    fn symbols_are_those_of_the_exchange() {
        check(&[], Ok(&DEFAULT_SYMBOLS));
        check(&["btcusdt", " SOLUSDT"], Ok(&["BTCUSDT", "SOLUSDT"]));
        check(&["A-1_B.C", "Ä"], Ok(&["A-1_B.C", "Ä"]));
        check(&["A", "a"], Err("twice"));
        check(&[""], Err("no symbol"));
        check(&["A&symbol=B"], Err("no symbol"));
        check(&["A/B"], Err("no symbol"));
        check(&[&"A".repeat(SYMBOL_LETTERS_MAX + 1)], Err("no symbol"));
        let many: Vec<String> = (0..=SYMBOLS_MAX).map(|number| format!("S{number}")).collect();
        check(&many.iter().map(String::as_str).collect::<Vec<_>>(), Err("1001 symbols"));
    }
}
