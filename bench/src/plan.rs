//! What is measured: which engines over which topics, how often. Nothing is run here.

use std::fmt;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::engines::Name;

/// Runs the same job on this host and its peers, checks what they wrote, and tells what it cost.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    after_help = "Examples:
  cargo xtask bench --quick
  cargo xtask bench --engines host,floor --codecs lz4 --rows 20000000
  cargo xtask bench --json bench.json"
)]
pub struct Plan {
    /// Records of a topic [default: 5000000, 300000 with --quick]
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// How the topics are compressed
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "gzip,lz4")]
    codecs: Vec<Codec>,
    /// How many symbols they have
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "20")]
    symbols: Vec<usize>,
    /// How many partitions
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2")]
    partitions: Vec<i32>,
    /// Who runs the job
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "host,floor,spark")]
    pub engines: Vec<Name>,
    /// How often each of them runs
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub rounds: usize,
    /// A run of minutes: one codec, few records, one round
    #[arg(long)]
    quick: bool,
    /// Where all figures go
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    Gzip,
    Lz4,
    Zstd,
    None,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub rows: usize,
    pub codec: Codec,
    pub symbols: usize,
    pub partitions: i32,
}

impl Plan {
    pub fn parse() -> Self {
        let plan = <Self as Parser>::parse();
        if plan.quick { Self { codecs: plan.codecs[..1].to_vec(), rounds: 1, ..plan } } else { plan }
    }

    /// Every combination.
    pub fn cases(&self) -> Vec<Case> {
        let rows = self.rows.unwrap_or(if self.quick { 300_000 } else { 5_000_000 });
        let mut cases = Vec::new();
        for &symbols in &self.symbols {
            for &partitions in &self.partitions {
                let of = |&codec: &Codec| Case { rows, codec, symbols, partitions };
                cases.extend(self.codecs.iter().map(of));
            }
        }
        cases
    }
}

impl Codec {
    /// As librdkafka calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, codec, symbols, partitions } = self;
        let codec = codec.name();
        write!(f, "{rows} records, {codec}, {symbols} symbols, {partitions} partitions")
    }
}
