//! TLS with a password, PLAIN and SCRAM, and with a token, against brokers of its own with certificates made
//! here; and a user whose rights are taken away while a job runs.

use std::fs;

use speed_layer_tests::certificate;
use speed_layer_tests::host::Finished;
use speed_layer_tests::job::{Job, new_folder};
use speed_layer_tests::kafka::Broker;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use tempfile::TempDir;

use super::LIMIT;

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"];
const PASSWORD: &str = "open-sesame-42";
const WRONG_PASSWORD: &str = "guessed-wrongly-43";
const TOPIC: &str = "secret-ticks";
const LASTING: [&str; 2] = ["-validity", "30"];
const EXPIRED: [&str; 4] = ["-startdate", "-3d", "-validity", "1"];

/// Prints a token that nobody has signed, which the broker takes. `{user}` and `{lifetime_s}` are filled in.
const TOKEN_COMMAND: &str = r#"
code() { printf '%s' "$1" | base64 -w0 | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
token=$(code '{"alg":"none"}').$(code "{\"sub\":\"{user}\",\"iat\":$now,\"exp\":$((now + {lifetime_s}))}").
printf '{"access_token":"%s","expires_in":{lifetime_s}}' "$token"
"#;

/// A broker with one more listener, which asks for a password or a token over TLS.
struct Secure {
    broker: Broker,
    keys: TempDir,
}

impl Secure {
    fn start(validity: &[&str]) -> Self {
        let keys = new_folder().expect("a folder");
        certificate::make(keys.path(), validity);
        let store = keys.path().join(certificate::KEYS).display().to_string();
        let plain = format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_reader=\"{PASSWORD}\";"
        );
        let bearer = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                      unsecuredLoginStringClaim_sub=\"broker\";";
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
            ("listener.name.sasl_ssl.oauthbearer.sasl.jaas.config", bearer),
            ("ssl.keystore.type", "PKCS12"),
            ("ssl.keystore.location", &store),
            ("ssl.keystore.password", certificate::PASSWORD),
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            ("super.users", "User:ANONYMOUS"),
        ]);
        Self { broker: broker.expect("a broker with TLS"), keys }
    }

    /// With a topic that the user `reader` may read.
    fn with_topic(records: &[Placed]) -> Self {
        let secure = Self::start(&LASTING);
        secure.broker.add_scram_user("reader", PASSWORD).expect("a user");
        secure.broker.topic_of(TOPIC, 2, records);
        secure.broker.allow("reader", TOPIC, true).expect("a right");
        secure
    }

    /// A job that trusts no certificate yet.
    fn job(&self, mechanism: &str) -> Job {
        Job::at(&self.broker.secure_address(), TOPIC)
            .set("--kafka", "security.protocol=SASL_SSL")
            .and("--kafka", format!("sasl.mechanism={mechanism}"))
    }

    fn trusting(&self, job: Job) -> Job {
        let authority = self.keys.path().join(certificate::AUTHORITY);
        job.and("--kafka", format!("ssl.ca.location={}", authority.display()))
    }

    fn by_password(&self, mechanism: &str, password: &str) -> Job {
        self.trusting(with_password(self.job(mechanism), password))
    }

    /// As `user`, whose tokens last so long.
    fn by_token(&self, user: &str, lifetime_s: u32) -> Job {
        let command = TOKEN_COMMAND.replace("{user}", user).replace("{lifetime_s}", &lifetime_s.to_string());
        let script = self.keys.path().join(format!("token-of-{user}-{lifetime_s}"));
        fs::write(&script, command).expect("a script");
        let job = self.trusting(self.job("OAUTHBEARER"));
        job.and("--kafka", format!("sasl.oauthbearer.token.command=sh {}", script.display()))
    }
}

fn with_password(job: Job, password: &str) -> Job {
    job.and("--kafka", "sasl.username=reader")
        .and("--kafka", "sasl.password=${TEST_KAFKA_PASSWORD}")
        .variable("TEST_KAFKA_PASSWORD", password)
}

fn records() -> Vec<Placed> {
    Plan { rows: 2_000, days: 4, ..Plan::default() }.records(2, Spread::InTurn)
}

/// Neither a password nor the beginning of any token.
fn check_no_secret(run: &Finished) {
    for secret in [PASSWORD, WRONG_PASSWORD, "eyJhbGciOiJub25lIn0"] {
        assert!(!run.told().contains(secret), "a secret is shown: {}", run.told());
    }
}

fn check_refused(job: &Job, told: &[&str]) {
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    for text in told {
        assert!(refused.stderr.contains(text), "`{text}`: {}", refused.told());
    }
    check_no_secret(&refused);
    assert!(!job.path("checkpoint").exists() && !job.path("output").exists());
}

#[test]
fn a_job_reads_over_tls_with_a_password_or_a_token_and_tells_a_wrong_one_without_showing_it() {
    let secure = Secure::with_topic(&records());
    let address = secure.broker.secure_address();
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let summary = secure.by_password(mechanism, PASSWORD).summary();
        assert_eq!(summary["rows_aggregated"], 2_000, "{mechanism}: {summary}");
        check_refused(&secure.by_password(mechanism, WRONG_PASSWORD), &[&address, "login", "sasl."]);
    }
    check_refused(&with_password(secure.job("PLAIN"), PASSWORD), &[&address, "TLS", "ssl."]);
    let summary = secure.by_token("reader", 600).summary();
    assert_eq!(summary["rows_aggregated"], 2_000, "{summary}");
    check_refused(&secure.by_token("stranger", 600), &[TOPIC, "grant the access"]);
    let failing = secure.trusting(secure.job("OAUTHBEARER"));
    let failing = failing.and("--kafka", "sasl.oauthbearer.token.command=exit 3");
    check_refused(&failing, &["exit status: 3", "login"]);
}

#[test]
fn a_broker_whose_certificate_has_expired_is_refused_by_name() {
    let secure = Secure::start(&EXPIRED);
    let address = secure.broker.secure_address();
    check_refused(&secure.by_password("PLAIN", PASSWORD), &[&address, "certificate", "expired", "ssl."]);
}

#[test]
fn a_job_that_is_shut_out_of_its_topic_waits_and_goes_on_when_it_is_let_in_again() {
    let records = records();
    let (first, rest) = records.split_at(1_500);
    let secure = Secure::with_topic(first);
    // Short enough that the job needs new ones meanwhile.
    let job = secure.by_token("reader", 10).set("--trigger", "200ms").set("--metadata-refresh", "1s");
    let job = job.variable("SPEED_LAYER_LOG", "info,speed_layer_kafka=debug");
    let mut running = job.start().expect("it starts");
    running.wait_for("total=1500", LIMIT).expect("it reads them");
    secure.broker.allow("reader", TOPIC, false).expect("a right less");
    let told = running.wait_for("let this user", LIMIT).expect("it says so");
    assert!(told.contains(TOPIC) && told.contains("goes on by itself"), "{told}");
    secure.broker.append(TOPIC, rest);
    secure.broker.allow("reader", TOPIC, true).expect("a right more");
    running.wait_for("total=2000", LIMIT).expect("it goes on by itself");
    for _ in 0..2 {
        running.wait_for("a token for the Kafka brokers was fetched", LIMIT).expect("they are short");
    }
    running.signal("TERM").expect("it runs");
    let run = running.finish(LIMIT).expect("it ends");
    assert_eq!(run.summary().expect("a normal end")["records_in"], 2_000);
    check_no_secret(&run);
    let warnings = run.stderr.lines().filter(|line| line.contains("WARN")).count();
    assert!(warnings <= 12, "{warnings} warnings: {}", run.told());
}
