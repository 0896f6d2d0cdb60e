//! librdkafka and nothing behind it: what reading the topic costs at least. A program of its own, which has the stock
//! library, without this host's replacements.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Program, number, summary};
use crate::plan::Case;
use crate::topics::{TOPIC, Ticks};

pub struct Floor;

impl Program for Floor {
    fn version(&self) -> Result<String> {
        let (_, text) = rdkafka::util::get_rdkafka_version();
        Ok(format!("librdkafka {text}"))
    }

    fn command(&self, case: &Case, brokers: &str, _folder: &Path) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?.with_file_name("bench-floor"));
        command.args([brokers, TOPIC, &case.partitions.to_string()]);
        Ok(command)
    }

    fn running_s(&self, stdout: &str) -> Result<f64> {
        number(&summary(stdout)?, "running_s")
    }

    fn wrong(&self, ticks: &Ticks, _output: &Path, stdout: &str) -> Result<Option<String>> {
        let counted = number(&summary(stdout)?, "records")? as usize;
        let is_right = counted == ticks.records;
        Ok((!is_right).then(|| format!("{counted} records in place of {}", ticks.records)))
    }
}
