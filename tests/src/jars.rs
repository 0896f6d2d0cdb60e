//! Apache Kafka's jars, fetched by Maven once and kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::places;

/// The broker's version.
pub const KAFKA_VERSION: &str = "4.1.1";

/// The folder with every jar that a broker needs; fetches it where it is missing.
///
/// # Errors
/// Maven is not there or cannot fetch.
pub fn folder() -> Result<PathBuf> {
    let cache = places::cache()?;
    let jars = cache.join(format!("kafka-and-tools-{KAFKA_VERSION}"));
    if !jars.is_dir() {
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let work = tempfile::tempdir_in(&cache)?;
        let fetched = work.path().join("jars");
        fetch(work.path(), &fetched, &kafka(), &[])?;
        settle(&fetched, &jars)?;
    }
    Ok(jars)
}

/// Has Maven copy dependencies and what they need into a folder, by a project of its own in `work`. `flags` are those of its goal.
///
/// # Errors
/// Maven is not there or cannot fetch.
pub fn fetch(work: &Path, into: &Path, dependencies: &str, flags: &[&str]) -> Result<()> {
    fs::write(work.join("pom.xml"), pom(dependencies))?;
    let goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", goal]).arg(format!("-DoutputDirectory={}", into.display()));
    let output = maven.args(flags).current_dir(work).output();
    let output = output.context("cannot start mvn; install Maven to fetch what runs on Java")?;
    if !output.status.success() {
        bail!("mvn could not fetch {dependencies}: {}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}

/// Whoever comes first wins: another test process may have fetched the same meanwhile.
fn settle(fetched: &Path, jars: &Path) -> Result<()> {
    match fs::rename(fetched, jars) {
        Err(_) if jars.is_dir() => Ok(()),
        outcome => outcome.with_context(|| format!("cannot move Kafka's jars to {}", jars.display())),
    }
}

fn pom(dependencies: &str) -> String {
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>fetched</groupId><artifactId>fetched</artifactId><version>1</version>\
         <dependencies>{dependencies}</dependencies></project>"
    )
}

/// As a project names it; `rest` is what else is said of it.
pub fn dependency(group: &str, artifact: &str, version: &str, rest: &str) -> String {
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
         <version>{version}</version>{rest}</dependency>"
    )
}

fn kafka() -> String {
    let broker = dependency("org.apache.kafka", "kafka_2.13", KAFKA_VERSION, "");
    // Its own dependencies are those of Kafka Connect; what a tool of ours needs comes with the broker.
    let alone =
        "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>";
    let tools = dependency("org.apache.kafka", "kafka-tools", KAFKA_VERSION, alone);
    let log = dependency("org.slf4j", "slf4j-simple", "1.7.36", "");
    format!("{broker}{tools}{log}")
}
