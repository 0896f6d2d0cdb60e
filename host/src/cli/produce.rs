//! `host produce`: writes messages to a topic and waits until the broker has them.

mod exchange;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, NaiveTime, Utc};
use clap::Args;
use crossbeam_channel::{Receiver, bounded};
use speed_layer_kafka::{ANSWER_TIMEOUT, Broker, BrokerError, Connection, Producer};
use tracing::info;

use self::exchange::{Exchange, ExchangeArgs};
use super::signals::on_signals;
use crate::config::properties_of;
use crate::produce::ndjson::Lines;
use crate::produce::pace::Pace;
use crate::produce::synthetic::{TickPlan, Ticks, symbol_names};
use crate::produce::{Message, Messages};

/// How long the broker may take to acknowledge what is still open at the end.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
const REPORT_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host produce --brokers localhost:9092 --topic crypto-prices --from synthetic --count 100000 --days 30
  host produce --brokers localhost:9092 --topic crypto-prices --from synthetic --rate 1000
  host produce --brokers localhost:9092 --topic crypto-prices --from ticks.ndjson
  host produce --brokers localhost:9092 --topic crypto-prices --from binance --symbols BTCUSDT,ETHUSDT
  host produce --brokers localhost:9092 --topic crypto-prices --from websocket --symbols BTCUSDT,ETHUSDT

At --count, at its end or at a signal (SIGINT, SIGTERM) it waits for what is on its way. From an exchange it \
prints a JSON summary as the last line on stdout. Exit code 1: messages were lost on the way to Kafka.")]
pub struct ProduceArgs {
    /// Kafka brokers, HOST:PORT[,HOST:PORT...]
    #[arg(long, value_name = "B")]
    brokers: String,
    /// The topic to write to
    #[arg(long, value_name = "T")]
    topic: String,
    /// Where messages come from: synthetic, an exchange (binance: polled, websocket: its stream), or a file
    /// with one message a line
    #[arg(long, value_name = "synthetic|binance|websocket|FILE", default_value = "synthetic")]
    from: String,
    /// Messages a second [default: as many as the broker takes]
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
    /// How many messages [default: without end, or the whole file]
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Symbols of the ticks, separated by commas [default: BTCUSDT,ETHUSDT]
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "symbol_count")]
    symbols: Vec<String>,
    /// How many symbols the synthetic ticks have
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    symbol_count: u32,
    /// Synthetic ticks with the same seed are the same
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Spread the synthetic ticks' event times over so many days; needs --count [default: each happens now]
    #[arg(long, value_name = "D", requires = "count", value_parser = positive)]
    days: Option<f64>,
    /// Event time of the first synthetic tick, RFC 3339 [default: --days ago, at midnight]
    #[arg(long, value_name = "TIME", requires = "days")]
    start: Option<DateTime<Utc>>,
    /// A librdkafka property; ${NAME} as the value takes it from the environment
    #[arg(long, value_name = "KEY=VALUE")]
    kafka: Vec<String>,
    #[command(flatten)]
    exchange: ExchangeArgs,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expects a number above 0".into()),
    }
}

pub fn run(args: &ProduceArgs) -> anyhow::Result<()> {
    match Exchange::named(&args.from) {
        Some(named) => {
            let source = exchange::source(args, named)?;
            exchange::run(source, &connect(args)?, args, &stop_on_signals()?)
        }
        None => run_at_will(args),
    }
}

fn stop_on_signals() -> anyhow::Result<Receiver<()>> {
    let (ask, stop) = bounded(1);
    let mut was_asked = false;
    on_signals(move |signal| {
        info!(signal, "asked to stop; waiting for what is on its way");
        // Nobody listens once the run is over; then the process ends by itself.
        let _ = ask.try_send(());
        !std::mem::replace(&mut was_asked, true)
    })?;
    Ok(stop)
}

/// From what gives as much as is asked for.
fn run_at_will(args: &ProduceArgs) -> anyhow::Result<()> {
    exchange::refuse_for_others(&args.exchange)?;
    let mut messages = source(args)?;
    let connection = connect(args)?;
    let stop = stop_on_signals()?;
    let mut producer = Producer::new(&connection, &args.topic, DELIVERY_TIMEOUT)?;
    let sent = send(args, messages.as_mut(), &mut producer, &stop)?;
    producer.finish()?;
    info!(messages = sent, topic = args.topic, "delivered");
    Ok(())
}

fn connect(args: &ProduceArgs) -> anyhow::Result<Connection> {
    let connection = Connection::new(&args.brokers, properties_of(&args.kafka)?)?;
    check_broker(&connection, &args.topic)?;
    Ok(connection)
}

/// Says at once when nobody answers or lets us in. A missing topic is the broker's to make or
/// to refuse.
fn check_broker(connection: &Connection, topic: &str) -> anyhow::Result<()> {
    match Broker::new(connection, ANSWER_TIMEOUT)?.topic_facts(topic) {
        Ok(_) | Err(BrokerError::TopicMissing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn source(args: &ProduceArgs) -> anyhow::Result<Box<dyn Messages>> {
    if args.from != "synthetic" {
        return Ok(Box::new(Lines::open(Path::new(&args.from))?));
    }
    let made_up = || symbol_names(args.symbol_count as usize);
    let symbols = if args.symbols.is_empty() { made_up() } else { args.symbols.clone() };
    let spread_ms = args.days.map(|days| (days * 86_400_000.0) as i64);
    Ok(Box::new(Ticks::new(TickPlan {
        symbols,
        seed: args.seed,
        count: args.count.unwrap_or(u64::MAX),
        start_ms: args
            .start
            .map_or_else(|| midnight_before(spread_ms.unwrap_or(0)), |start| start.timestamp_millis()),
        spread_ms,
    })))
}

/// Midnight UTC of the day `spread_ms` ago, so that all ticks lie in the past.
fn midnight_before(spread_ms: i64) -> i64 {
    let begin = Utc::now() - chrono::TimeDelta::milliseconds(spread_ms);
    begin.date_naive().and_time(NaiveTime::MIN).and_utc().timestamp_millis()
}

/// Sends until there are no more, `--count` of them are sent, or `stop`; how many that were.
fn send(
    args: &ProduceArgs,
    messages: &mut dyn Messages,
    producer: &mut Producer,
    stop: &Receiver<()>,
) -> anyhow::Result<u64> {
    let pace = Pace::new(args.rate);
    let mut message = Message::default();
    let mut sent = 0;
    let mut reported = Instant::now();
    while args.count.is_none_or(|count| sent < count) && messages.next(&mut message)? {
        if stop.recv_timeout(pace.wait_before(sent)).is_ok() {
            break;
        }
        let key = (!message.key.is_empty()).then_some(message.key.as_slice());
        let record = speed_layer_kafka::Message { key, value: Some(&message.value), ..Default::default() };
        producer.produce(&record).with_context(|| format!("message {} was not taken", sent + 1))?;
        sent += 1;
        if reported.elapsed() > REPORT_EVERY {
            reported = Instant::now();
            info!(messages = sent, topic = args.topic, "produced");
        }
    }
    Ok(sent)
}
