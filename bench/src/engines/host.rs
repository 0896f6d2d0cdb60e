//! This host, as its users run it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use speed_layer_tests::{host, parquet_table, places};

use super::{Program, number, summary};
use crate::plan::Case;
use crate::topics::{TOPIC, Ticks};

pub struct Host;

impl Program for Host {
    fn version(&self) -> Result<String> {
        let output = host::command()?.arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn command(&self, _case: &Case, brokers: &str, folder: &Path) -> Result<Command> {
        let mut command = host::command()?;
        command.args(["run", "--brokers", brokers, "--topic", TOPIC, "--trigger", "available-now"]);
        let plugins = [("--parse", "ticker_json"), ("--transform", "ticker_time"), ("--aggregate", "ohlcv")];
        for (flag, name) in plugins {
            command.arg(flag).arg(places::plugin(name));
        }
        command.args(["--name", "daily", "--set", "aggregate.prefix=daily"]);
        command.arg("--output").arg(folder.join("output")).arg("--checkpoint").arg(folder.join("checkpoint"));
        Ok(command)
    }

    fn running_s(&self, stdout: &str) -> Result<f64> {
        let summary = summary(stdout)?;
        Ok(number(&summary, "records_in")? / number(&summary, "records_per_s")?)
    }

    fn wrong(&self, ticks: &Ticks, output: &Path, _stdout: &str) -> Result<Option<String>> {
        Ok(ticks.wrong(&parquet_table::read(output, "symbol")?))
    }
}
