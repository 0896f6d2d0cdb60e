//! TLS with a password, PLAIN and SCRAM, against a broker of its own with a certificate made here.

use std::path::Path;
use std::process::Command;

use speed_layer_tests::job::{Job, new_folder};
use speed_layer_tests::kafka::Broker;
use speed_layer_tests::ticks::{Plan, Spread};
use tempfile::TempDir;

const MECHANISMS: [&str; 2] = ["PLAIN", "SCRAM-SHA-512"];
const PASSWORD: &str = "open-sesame-42";
const WRONG_PASSWORD: &str = "guessed-wrongly-43";
const TOPIC: &str = "secret-ticks";

/// A broker with one more listener, which asks for a password over TLS.
struct Secure {
    broker: Broker,
    keys: TempDir,
}

impl Secure {
    fn start() -> Self {
        let keys = new_folder().expect("a folder");
        make_certificate(keys.path());
        let store = keys.path().join("broker.p12").display().to_string();
        let plain = format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_reader=\"{PASSWORD}\";"
        );
        let listeners = "{listeners},SASL_SSL://127.0.0.1:{secure_port}";
        let broker = Broker::start(&[
            ("listeners", listeners),
            ("advertised.listeners", listeners),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL"),
            ("sasl.enabled.mechanisms", &MECHANISMS.join(",")),
            ("listener.name.sasl_ssl.plain.sasl.jaas.config", &plain),
            (
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            ),
            ("ssl.keystore.type", "PKCS12"),
            ("ssl.keystore.location", &store),
            ("ssl.keystore.password", "of-the-store"),
        ]);
        let broker = broker.expect("a broker with TLS");
        broker.add_scram_user("reader", PASSWORD).expect("a user");
        let records = Plan { rows: 2_000, days: 4, ..Plan::default() }.records(2, Spread::InTurn);
        broker.topic_of(TOPIC, 2, &records);
        Self { broker, keys }
    }

    /// A job of the user `reader` that trusts no certificate yet.
    fn job(&self, mechanism: &str, password: &str) -> Job {
        Job::at(&self.broker.secure_address(), TOPIC)
            .set("--kafka", "security.protocol=SASL_SSL")
            .and("--kafka", format!("sasl.mechanism={mechanism}"))
            .and("--kafka", "sasl.username=reader")
            .and("--kafka", "sasl.password=${TEST_KAFKA_PASSWORD}")
            .variable("TEST_KAFKA_PASSWORD", password)
    }

    fn trusting_job(&self, mechanism: &str, password: &str) -> Job {
        let authority = self.keys.path().join("authority.pem");
        self.job(mechanism, password).and("--kafka", format!("ssl.ca.location={}", authority.display()))
    }
}

/// A key pair that signs itself, for 127.0.0.1, by the JDK's own tool.
fn make_certificate(folder: &Path) {
    let keytool = |words: &[&str]| {
        let mut command = Command::new("keytool");
        command.args(words).args(["-alias", "broker", "-storepass", "of-the-store"]);
        command.args(["-keystore", "broker.p12"]).current_dir(folder);
        let output = command.output().expect("keytool comes with java");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    let names = ["-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-storetype", "PKCS12"];
    keytool(&[&["-genkeypair", "-keyalg", "RSA"], &names[..]].concat());
    keytool(&["-exportcert", "-rfc", "-file", "authority.pem"]);
}

fn check_refused(job: &Job, told: &[&str]) {
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    for text in told {
        assert!(refused.stderr.contains(text), "`{text}`: {}", refused.told());
    }
    for secret in [PASSWORD, WRONG_PASSWORD] {
        assert!(!refused.told().contains(secret), "a password is shown: {}", refused.told());
    }
    assert!(!job.path("checkpoint").exists() && !job.path("output").exists());
}

#[test]
fn a_job_reads_over_tls_with_a_password_and_tells_a_wrong_one_without_showing_it() {
    let secure = Secure::start();
    let address = secure.broker.secure_address();
    for mechanism in MECHANISMS {
        let summary = secure.trusting_job(mechanism, PASSWORD).summary();
        assert_eq!(summary["rows_aggregated"], 2_000, "{mechanism}: {summary}");
        check_refused(&secure.trusting_job(mechanism, WRONG_PASSWORD), &[&address, "login", "sasl."]);
    }
    check_refused(&secure.job("PLAIN", PASSWORD), &[&address, "TLS", "ssl."]);
}
