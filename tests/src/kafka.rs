//! A real Apache Kafka broker, one node in KRaft mode, as a child process.
//!
//! A broker lives no longer than the process that started it, however that ends: it is started through a
//! small shell script that waits on a pipe and kills the broker when the pipe closes. Topics and records
//! are made in `topics.rs`.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::{jars, places};

const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Becomes the broker, and leaves behind a reader of the pipe on stdin: a line is the signal to send. The
/// pipe's end without one means that nobody is left: kill the broker, remove its folder.
const KEEPER: &str = r#"
exec 3<&0 </dev/null
{ if read -r signal <&3; then kill -"$signal" $$; else kill -KILL $$; sleep 1; rm -rf -- "$0"; fi; } &
exec 3<&-
exec "$@"
"#;

/// A broker on free ports of this machine.
pub struct Broker {
    folder: PathBuf,
    port: u16,
    secure_port: u16,
    /// What its virtual machine is told.
    java: &'static [&'static str],
    running: Option<Child>,
}

/// The broker that all tests of this process share: topics keep them apart.
///
/// # Panics
/// It cannot be started.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(|| match Broker::start(&[("log.cleaner.backoff.ms", "200")]) {
        Ok(broker) => broker,
        Err(error) => panic!("the tests' broker does not start: {error:#}"),
    })
}

impl Broker {
    /// Starts a broker of its own; `properties` are added to the server's. In their values `{listeners}`
    /// stands for the listeners that every broker has, `{secure_port}` for the port of one more.
    ///
    /// # Errors
    /// Java or the jars are missing, or the broker does not answer; then its log's end is told.
    pub fn start(properties: &[(&str, &str)]) -> Result<Self> {
        // It starts in half of the time, and tests ask little of it.
        Self::start_as(properties, &["-Xmx768m", "-XX:TieredStopAtLevel=1"])
    }

    /// One that can be measured against: compiled as well as its machine can.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_for_load() -> Result<Self> {
        Self::start_as(&[], &["-Xms1g", "-Xmx1g"])
    }

    fn start_as(properties: &[(&str, &str)], java: &'static [&'static str]) -> Result<Self> {
        let brokers = places::target().join("brokers");
        fs::create_dir_all(&brokers)?;
        let folder = tempfile::Builder::new().prefix("kafka-").tempdir_in(&brokers)?.keep();
        let [port, controller_port, secure_port] = free_ports()?;
        let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}");
        let mut settings = settings(&folder, &listeners, controller_port);
        for (name, value) in properties {
            let value = value.replace("{listeners}", &listeners);
            settings += &format!("{name}={}\n", value.replace("{secure_port}", &secure_port.to_string()));
        }
        fs::write(folder.join("server.properties"), settings)?;
        let mut broker = Self { folder, port, secure_port, java, running: None };
        broker.format()?;
        broker.restart()?;
        Ok(broker)
    }

    /// `host:port`, for clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `host:port` of the listener that `start`'s properties have added.
    pub fn secure_address(&self) -> String {
        format!("127.0.0.1:{}", self.secure_port)
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// A client configuration that names this broker.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        config
    }

    /// Starts the stopped broker again on the same ports and data; returns when it answers.
    ///
    /// # Errors
    /// It ends at once or does not answer in time.
    pub fn restart(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg(&self.folder);
        keeper.arg("java").args(self.java).arg("-cp").arg(class_path()?);
        keeper.arg("kafka.Kafka").arg(self.folder.join("server.properties"));
        keeper.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        self.running = Some(keeper.spawn().context("cannot start the broker")?);
        self.wait_until_it_answers()
    }

    /// Stops the broker as an operator does.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        self.end("TERM")
    }

    /// Ends the broker as a power cut does, but for what the page cache keeps.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn kill(&mut self) -> Result<()> {
        self.end("KILL")
    }

    /// The size of a partition's log segments on the broker's disk.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn log_bytes(&self, topic: &str, partition: i32) -> Result<u64> {
        let folder = self.folder.join("data").join(format!("{topic}-{partition}"));
        let segments = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut bytes = 0;
        for segment in segments {
            let segment = segment?;
            if segment.path().extension().is_some_and(|extension| extension == "log") {
                bytes += segment.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    /// Cuts the only segment of a partition's log in half, as a disk that forgot does. The broker must have
    /// been killed, for one that was stopped in order does not look at its logs again.
    ///
    /// # Errors
    /// There is no such partition, or it has several segments.
    pub fn cut_log(&self, topic: &str, partition: i32) -> Result<()> {
        ensure!(self.running.is_none(), "the broker still runs");
        let segment = self.folder.join(format!("data/{topic}-{partition}/00000000000000000000.log"));
        ensure!(
            self.log_bytes(topic, partition)? == fs::metadata(&segment)?.len(),
            "there are several segments"
        );
        let file = File::options().write(true).open(&segment)?;
        Ok(file.set_len(file.metadata()?.len() / 2)?)
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        let Some(mut child) = self.running.take() else { return Ok(()) };
        let mut pipe = child.stdin.take().context("the broker has no pipe")?;
        writeln!(pipe, "{signal}")?;
        wait_for_end(&mut child, STOP_LIMIT)
    }

    /// Gives the data folder its identity.
    fn format(&self) -> Result<()> {
        let properties = self.folder.join("server.properties").display().to_string();
        let cluster = "c3BlZWQtbGF5ZXItMDAwMQ";
        tool(&[
            "kafka.tools.StorageTool",
            "format",
            "--standalone",
            "--cluster-id",
            cluster,
            "--config",
            &properties,
        ])
    }

    /// Gives a user a password for SCRAM-SHA-512.
    ///
    /// # Errors
    /// The broker refuses it.
    pub fn add_scram_user(&self, name: &str, password: &str) -> Result<()> {
        let config = format!("SCRAM-SHA-512=[password={password}]");
        let address = self.address();
        let change = ["kafka.admin.ConfigCommand", "--bootstrap-server", &address, "--alter"];
        let user = ["--entity-type", "users", "--entity-name", name, "--add-config", &config];
        tool(&[&change[..], &user].concat())
    }

    /// Lets a user read a topic and use every group, or forbids it again.
    ///
    /// # Errors
    /// The broker refuses it.
    pub fn allow(&self, name: &str, topic: &str, is_allowed: bool) -> Result<()> {
        let (address, principal) = (self.address(), format!("User:{name}"));
        let change: &[&str] = if is_allowed { &["--add"] } else { &["--remove", "--force"] };
        let whom = ["--allow-principal", &principal, "--bootstrap-server", &address];
        let acl =
            |what: &[&str]| tool(&[&["org.apache.kafka.tools.AclCommand"], change, &whom, what].concat());
        acl(&["--operation", "Read", "--operation", "Describe", "--topic", topic])?;
        acl(&["--operation", "Read", "--group", "*"])
    }

    /// librdkafka connects again and again by itself; this only bounds it and looks whether the child lives.
    fn wait_until_it_answers(&mut self) -> Result<()> {
        let client: BaseConsumer = self.client().set("reconnect.backoff.max.ms", "200").create()?;
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if client.fetch_metadata(None, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if let Some(code) = self.running.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("the broker ended at its start ({code}): {}", self.log_end());
            }
        }
        Err(anyhow!("the broker does not answer: {}", self.log_end()))
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // A test is over; what cannot be cleaned away lies in the build directory.
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits for a child's end. Its output goes to a file, so there is nothing else to wait on.
fn wait_for_end(child: &mut Child, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    child.kill()?;
    bail!("the broker did not stop in {} s", limit.as_secs())
}

fn class_path() -> Result<String> {
    Ok(format!("{}/*", jars::folder()?.display()))
}

/// Runs one of Kafka's own tools.
fn tool(words: &[&str]) -> Result<()> {
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-cp"]).arg(class_path()?).args(words);
    let output = java.output().context("cannot start java")?;
    let told = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{} failed: {}", words.join(" "), String::from_utf8_lossy(&told));
    Ok(())
}

/// Ports that were free a moment ago: held together, so that they differ.
fn free_ports() -> Result<[u16; 3]> {
    let bind = || TcpListener::bind("127.0.0.1:0");
    let held = [bind()?, bind()?, bind()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// One node that is broker and controller, with every internal topic on one replica.
fn settings(folder: &Path, listeners: &str, controller_port: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
listeners={listeners}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
num.partitions=2
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
",
        folder.join("data").display()
    )
}
