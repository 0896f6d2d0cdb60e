//! librdkafka and nothing behind it: what reading the topic costs at least. This very program, started again.

use std::process::Command;

use anyhow::Result;

use super::{number, summary};
use crate::topics::TOPIC;

pub fn version() -> String {
    let (_, text) = rdkafka::util::get_rdkafka_version();
    format!("librdkafka {text}")
}

pub fn command(brokers: &str, partitions: i32) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("bench-floor"));
    command.args([brokers, TOPIC, &partitions.to_string()]);
    Ok(command)
}

pub fn running_s(stdout: &str) -> Result<f64> {
    number(&summary(stdout)?, "running_s")
}

pub fn counted(stdout: &str) -> Result<usize> {
    Ok(number(&summary(stdout)?, "records")? as usize)
}
