//! The system's own programs that a step needs: looked for, installed where that is possible, named where not.
//!
//! Only Debian's and Ubuntu's package manager is driven, and only as root; anybody else is told what to
//! install. Nothing that is already there is touched.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// A program, how to see that it works, and the Debian package that brings it.
pub struct Tool {
    name: &'static str,
    probe: &'static [&'static str],
    package: &'static str,
}

/// librdkafka, OpenSSL, zlib and zstd are compiled from source.
pub const FOR_BUILDING: [Tool; 4] = [
    Tool { name: "cc", probe: &["cc", "--version"], package: "build-essential" },
    Tool { name: "c++", probe: &["c++", "--version"], package: "build-essential" },
    Tool { name: "make", probe: &["make", "--version"], package: "build-essential" },
    // Debian's base system has a perl without the modules that OpenSSL's Configure loads.
    Tool { name: "perl", probe: &["perl", "-MFindBin", "-MIPC::Cmd", "-e", "1"], package: "perl" },
];

/// The tests' broker is Apache Kafka, fetched by Maven.
pub const FOR_KAFKA: [Tool; 2] = [
    Tool { name: "java", probe: &["java", "-version"], package: "default-jdk-headless" },
    Tool { name: "mvn", probe: &["mvn", "--version"], package: "maven" },
];

/// The documents' command lines, which tests type, show JSON through it.
pub const FOR_DOCUMENTS: [Tool; 1] = [Tool { name: "jq", probe: &["jq", "--version"], package: "jq" }];

/// What the program asks of the file system is traced.
pub const FOR_TRACING: [Tool; 1] = [Tool { name: "strace", probe: &["strace", "-V"], package: "strace" }];

/// The dashboard is looked at by a browser.
pub const FOR_BROWSING: [Tool; 1] =
    [Tool { name: "chromium", probe: &["chromium", "--version"], package: "chromium" }];

/// Other readers of our Parquet live in a Python environment of their own.
pub const FOR_PYTHON: [Tool; 1] = [Tool {
    name: "python3 with venv",
    probe: &["python3", "-c", "import ensurepip, venv"],
    package: "python3-venv",
}];

/// Makes sure that every tool works.
///
/// # Errors
/// Names what is missing and the packages that bring it.
pub fn ensure(tools: &[Tool]) -> Result<()> {
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = packages(&missing);
    if may_install() {
        process::step(&format!("installing {}", packages.join(" ")), || install(&packages))?;
    }
    match names(&self::missing(tools)) {
        none if none.is_empty() => Ok(()),
        still => bail!(
            "{still} not found; install it with `sudo apt-get install {}` (Debian, Ubuntu) or your system's way",
            packages.join(" ")
        ),
    }
}

/// Whether packages can be installed here: Debian's package manager, run as root.
pub fn may_install() -> bool {
    process::on_path("apt-get") && is_root()
}

/// Fetches the package lists; as a user this only works where the lists may be written.
pub fn refresh_package_lists() -> Result<()> {
    process::run(Command::new("apt-get").args(["update", "--quiet=2"]))
}

fn missing(tools: &[Tool]) -> Vec<&Tool> {
    tools.iter().filter(|tool| !works(tool)).collect()
}

fn works(tool: &Tool) -> bool {
    process::stdout_of(Command::new(tool.probe[0]).args(&tool.probe[1..])).is_ok()
}

fn names(tools: &[&Tool]) -> String {
    tools.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ")
}

fn packages(tools: &[&Tool]) -> Vec<&'static str> {
    let mut packages: Vec<_> = tools.iter().map(|tool| tool.package).collect();
    packages.dedup();
    packages
}

fn install(packages: &[&str]) -> Result<()> {
    let attempt = || {
        process::run(
            Command::new("apt-get")
                .args(["install", "--yes", "--quiet=2", "--no-install-recommends"])
                .args(packages)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    if has_package_lists() && attempt().is_ok() {
        return Ok(());
    }
    refresh_package_lists()?;
    attempt()
}

fn has_package_lists() -> bool {
    let lists = Path::new("/var/lib/apt/lists").read_dir();
    lists.is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("_Packages")))
    })
}

fn is_root() -> bool {
    process::stdout_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_the_package_that_brings_it_once() {
        let absent = |name| Tool { name, probe: &["no-such-program-anywhere"], package: "one-package" };
        let present = Tool { name: "sh", probe: &["sh", "-c", "exit 0"], package: "dash" };
        let tools = [absent("a"), absent("b"), present];
        let missing = missing(&tools);
        assert_eq!(names(&missing), "a, b");
        assert_eq!(packages(&missing), ["one-package"]);
    }
}
