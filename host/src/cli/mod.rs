//! The command line: what can be said, and which exit code an answer has.
//!
//! 0: done, also after a signal. 1: it could not be done. 2: it was said wrongly.

mod backtest;
mod check;
mod checkpoint;
mod compact;
mod compared;
mod compile_plugin;
mod completions;
mod demo;
mod file;
mod import_spark;
mod init;
mod letters;
mod man;
mod plugin;
mod produce;
mod query;
mod run;
mod shadow;
mod shown;
mod signals;
mod swap;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::ConfigError;
use crate::logs;

/// Speed Layer: streams Kafka topics through WebAssembly plugins into Parquet.
#[derive(Debug, Parser)]
#[command(name = "host", version, about, max_term_width = 100, propagate_version = true)]
#[command(after_help = EXAMPLES)]
pub struct Cli {
    /// How logs are written to stderr
    #[arg(long, global = true, value_enum, default_value = "human", value_name = "FORMAT")]
    log_format: LogFormat,
    /// Which logs are written: error, warn, info, debug, trace, or a filter such as info,speed_layer=debug
    #[arg(long, global = true, env = "SPEED_LAYER_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Human,
    Json,
}

const EXAMPLES: &str = "Examples:
  host demo
  host init && host check pipeline.toml
  host run pipeline.toml
  host run --brokers localhost:9092 --topic crypto-prices --parse ticker_json.wasm \\
      --transform ticker_time.wasm --aggregate ohlcv.wasm --output out/daily --checkpoint checkpoint
  host produce --brokers localhost:9092 --topic crypto-prices --from synthetic --count 100000
  host produce --brokers localhost:9092 --topic crypto-prices --from binance --symbols BTCUSDT,ETHUSDT
  host plugin inspect ohlcv.wasm
  host checkpoint show checkpoint
  host swap --checkpoint checkpoint --stage aggregate:daily ohlcv_upticks.wasm
  host file inspect out/daily/symbol=BTCUSDT/part-daily-g1-e0000000007-00000.snappy.parquet
  host compact out/daily --into out/daily-joined
  host query \"SELECT * FROM daily ORDER BY symbol\"
  host dead-letters count pipeline.toml
  host backtest pipeline.toml --against out/daily --aggregate ohlcv_upticks.wasm";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a job: read a topic, aggregate it in windows, write Parquet
    Run(Box<run::RunArgs>),
    /// Write a pipeline file to begin with, every setting explained
    Init(init::InitArgs),
    /// Load a pipeline's plugins, fit them together and say what it would do
    Check(Box<check::CheckArgs>),
    /// Write an exchange's or synthetic ticks, or a file's lines, to a topic
    Produce(produce::ProduceArgs),
    /// Take over a Spark job: go on from its last batch, its open windows made again from Kafka
    ImportSparkCheckpoint(Box<import_spark::ImportArgs>),
    /// Look at a job's checkpoints, verify them, go back to an earlier one
    #[command(subcommand)]
    Checkpoint(checkpoint::CheckpointCommand),
    /// Look at a published file and make its rows again
    #[command(subcommand)]
    File(file::FileCommand),
    /// Count, show and replay what did not get through
    #[command(subcommand)]
    DeadLetters(letters::LettersCommand),
    /// Try plugins on a stretch of the past, and compare with what was published
    Backtest(backtest::BacktestArgs),
    /// Copy an aggregate's output into another folder, its rows in fewer files
    Compact(compact::CompactArgs),
    /// Ask with SQL what a job has committed: windows, dead letters, late rows, swaps
    Query(query::QueryArgs),
    /// Replace a plugin of a running job, with its open windows
    Swap(swap::SwapArgs),
    /// List the swaps of a job
    Swaps(swap::SwapsArgs),
    /// Look at plugins and make them
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Run the whole pipeline on a Kafka inside this process
    Demo(demo::DemoArgs),
    /// Compile a component from stdin to stdout, for this program itself
    #[command(hide = true)]
    CompilePlugin(compile_plugin::CompilePluginArgs),
    /// Write manual pages
    Man(man::ManArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(problem) = logs::start(&cli.log, cli.log_format == LogFormat::Json) {
        eprintln!("error: --log {}: {problem}", cli.log);
        return ExitCode::from(2);
    }
    match cli.command.run(cli.log_format) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

/// What was said wrongly, as opposed to what could not be done.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>() || error.is::<speed_layer_kafka::ConfigError>()
}

impl Command {
    fn run(self, log_format: LogFormat) -> anyhow::Result<()> {
        match self {
            Self::Run(args) => run::run(*args, log_format == LogFormat::Human),
            Self::Init(args) => init::run(&args),
            Self::Check(args) => check::run(*args),
            Self::Produce(args) => produce::run(&args),
            Self::ImportSparkCheckpoint(args) => import_spark::run(*args),
            Self::Checkpoint(command) => checkpoint::run(command),
            Self::File(command) => file::run(command),
            Self::DeadLetters(command) => letters::run(command),
            Self::Backtest(args) => backtest::run(&args),
            Self::Compact(args) => compact::run(&args),
            Self::Query(args) => query::run(&args),
            Self::Swap(args) => swap::run(&args),
            Self::Swaps(args) => swap::list(&args),
            Self::Plugin(command) => plugin::run(command),
            Self::Demo(args) => demo::run(&args),
            Self::CompilePlugin(args) => compile_plugin::run(&args),
            Self::Man(args) => man::run(&args),
            Self::Completions(args) => completions::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
