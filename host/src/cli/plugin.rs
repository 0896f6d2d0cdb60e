//! `host plugin`: what a component is, making one from a core module, and signing it.

pub(super) mod describe;
mod signing;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};
use speed_layer_plugin::{Limits, Runtime, RuntimeOptions};

use crate::job;

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Say what a plugin is: stage, schemas, state, imports, size, digest
    Inspect(InspectArgs),
    /// Make a component from the core module that `cargo build` leaves
    Pack(PackArgs),
    /// Make a key to sign plugins with
    Keygen(signing::KeygenArgs),
    /// Sign plugins
    Sign(signing::SignArgs),
    /// Say who signed plugins, if it is somebody trusted
    Verify(signing::VerifyArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  host plugin inspect ohlcv.wasm
  host plugin inspect ticker_json.wasm --set event_time=ts --format json
  host plugin inspect ohlcv.wasm --limits")]
pub struct InspectArgs {
    /// The component
    file: PathBuf,
    /// A setting of the plugin, KEY=VALUE; VALUE is JSON or text
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Say as well what a call of a plugin may use, where the pipeline's limits say nothing else
    #[arg(long)]
    limits: bool,
    #[arg(long, value_enum, default_value = "table")]
    format: InspectFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InspectFormat {
    Table,
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo build --release --target wasm32-unknown-unknown
  host plugin pack target/wasm32-unknown-unknown/release/mine.wasm -o mine.wasm")]
pub struct PackArgs {
    /// The core module
    module: PathBuf,
    /// Where the component goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(command: PluginCommand) -> anyhow::Result<()> {
    match command {
        PluginCommand::Inspect(args) => inspect(&args),
        PluginCommand::Pack(args) => pack(&args),
        PluginCommand::Keygen(args) => signing::keygen(&args),
        PluginCommand::Sign(args) => signing::sign(&args),
        PluginCommand::Verify(args) => signing::verify(&args),
    }
}

fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let limits = Limits::default();
    let compiler = job::compiler(&limits);
    let runtime = Runtime::new(RuntimeOptions { cache_dir: None, limits })?.compiling_apart(compiler);
    let plugin = runtime.load(&args.file)?;
    let mut report = describe::report(&plugin, &config(&args.set)?)?;
    if args.limits {
        report["limits"] = describe::limits(runtime.limits());
    }
    let text = match args.format {
        InspectFormat::Json => format!("{report:#}\n"),
        InspectFormat::Table => describe::table(&report),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn config(settings: &[String]) -> anyhow::Result<Value> {
    let mut config = Map::new();
    for setting in settings {
        let (key, text) =
            setting.split_once('=').with_context(|| format!("--set {setting}: expects KEY=VALUE"))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        config.insert(key.to_owned(), value);
    }
    Ok(Value::Object(config))
}

fn pack(args: &PackArgs) -> anyhow::Result<()> {
    let module =
        std::fs::read(&args.module).with_context(|| format!("{} cannot be read", args.module.display()))?;
    let component = speed_layer_plugin::pack(&module)
        .with_context(|| format!("{} cannot be made a component", args.module.display()))?;
    if let Some(folder) = args.output.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    std::fs::write(&args.output, component)
        .with_context(|| format!("{} cannot be written", args.output.display()))
}
