//! Spark Structured Streaming, as people run it on one machine: `local[2]`, the job in `bench/peers/spark.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use speed_layer_tests::{jars, parquet_table, places};

use super::{Program, number, summary};
use crate::plan::Case;
use crate::topics::{TOPIC, Ticks};

const VERSION: &str = "3.5.9";
/// Its connector for Kafka, the newest of this line that Maven's repository has.
const CONNECTOR: &str = "3.5.7";
/// What that needs beside Spark's own jars.
const ARTIFACTS: &str =
    "spark-sql-kafka-0-10_2.12,spark-token-provider-kafka-0-10_2.12,kafka-clients,commons-pool2";

pub struct Spark {
    python: PathBuf,
    jars: PathBuf,
}

impl Spark {
    /// Fetches it once for all clones.
    pub fn ready() -> Result<Self> {
        let home = places::cache()?.join("bench").join(format!("spark-{VERSION}"));
        let spark = Self { python: home.join("python/bin/python"), jars: home.join("jars") };
        let whole = home.join("whole");
        if !whole.is_file() {
            eprintln!("fetching Spark {VERSION}: some 400 MB, once");
            fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
            spark.fetch(&home)?;
            fs::write(&whole, VERSION)?;
        }
        Ok(spark)
    }

    fn fetch(&self, home: &Path) -> Result<()> {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home.join("python")))?;
        run(Command::new(&self.python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            &format!("pyspark=={VERSION}"),
        ]))?;
        let connector = jars::dependency("org.apache.spark", "spark-sql-kafka-0-10_2.12", CONNECTOR, "");
        jars::fetch(home, &self.jars, &connector, &[&format!("-DincludeArtifactIds={ARTIFACTS}")])
    }
}

impl Program for Spark {
    fn version(&self) -> Result<String> {
        Ok(format!("Spark {VERSION}"))
    }

    fn command(&self, _case: &Case, brokers: &str, folder: &Path) -> Result<Command> {
        let mut command = Command::new(&self.python);
        command.arg(places::root().join("bench/peers/spark.py")).args([brokers, TOPIC]);
        command.arg(folder.join("output")).arg(folder.join("checkpoint")).arg(&self.jars);
        Ok(command)
    }

    fn running_s(&self, stdout: &str) -> Result<f64> {
        number(&summary(stdout)?, "running_s")
    }

    fn wrong(&self, ticks: &Ticks, output: &Path, _stdout: &str) -> Result<Option<String>> {
        Ok(ticks.wrong(&parquet_table::read_of_others(output, "symbol")?))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let told =
        || String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
    ensure!(output.status.success(), "{command:?} failed: {}", told());
    Ok(())
}
