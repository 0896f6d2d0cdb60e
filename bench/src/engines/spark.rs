//! Spark Structured Streaming, as people run it on one machine: `local[2]`, the job in `bench/peers/spark.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use speed_layer_tests::places;

use super::{number, summary};
use crate::topics::TOPIC;

const VERSION: &str = "3.5.9";
/// Its connector for Kafka, the newest of this line that Maven's repository has.
const CONNECTOR: &str = "org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.7";
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
        fs::write(home.join("pom.xml"), pom())?;
        let goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
        let into = format!("-DoutputDirectory={}", self.jars.display());
        let only = format!("-DincludeArtifactIds={ARTIFACTS}");
        run(Command::new("mvn").args(["--quiet", "--batch-mode", goal, &into, &only]).current_dir(home))
    }

    pub fn version(&self) -> String {
        format!("Spark {VERSION}")
    }

    pub fn command(&self, brokers: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(places::root().join("bench/peers/spark.py")).args([brokers, TOPIC]);
        command.arg(folder.join("output")).arg(folder.join("checkpoint")).arg(&self.jars);
        command
    }
}

pub fn running_s(stdout: &str) -> Result<f64> {
    number(&summary(stdout)?, "running_s")
}

fn pom() -> String {
    let mut words = CONNECTOR.split(':');
    let mut next = || words.next().unwrap_or_default();
    let (group, artifact, version) = (next(), next(), next());
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>bench</groupId><artifactId>spark</artifactId><version>1</version><dependencies><dependency>\
         <groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>\
         </dependencies></project>"
    )
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let told =
        || String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
    ensure!(output.status.success(), "{command:?} failed: {}", told());
    Ok(())
}
