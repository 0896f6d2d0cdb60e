//! The compose file keeps the addresses and names that people's other programs rely on.

use std::fs;

use speed_layer_tests::places::root;
use yaml_rust2::{Yaml, YamlLoader};

use crate::files::assert_none;

fn complaints(text: &str) -> Vec<String> {
    let Ok(documents) = YamlLoader::load_from_str(text) else { return vec!["it is no YAML".into()] };
    let [compose] = documents.as_slice() else { return vec!["it is not one document".into()] };
    let kafka = &compose["services"]["kafka"];
    let host = &compose["services"]["host"];
    let rules = [
        ("kafka runs Apache Kafka 4", text_of(&kafka["image"]).starts_with("apache/kafka:4.")),
        ("kafka gives port 9092 to this machine", has(&kafka["ports"], "9092:9092")),
        (
            "kafka listens at 9093 inside the network",
            setting(kafka, "KAFKA_ADVERTISED_LISTENERS").contains("kafka:9093"),
        ),
        ("kafka is its own controller", setting(kafka, "KAFKA_PROCESS_ROLES") == "broker,controller"),
        ("topics have two partitions by default", setting(kafka, "KAFKA_NUM_PARTITIONS") == "2"),
        ("topics are made on demand", setting(kafka, "KAFKA_AUTO_CREATE_TOPICS_ENABLE") == "true"),
        ("kafka has a health check", !kafka["healthcheck"]["test"].is_badvalue()),
        ("kafka keeps its data in the volume", mounts(kafka, "kafka-data")),
        ("the volume is declared", !compose["volumes"]["kafka-data"].is_badvalue()),
        (
            "the network is declared",
            text_of(&compose["networks"]["crypto-network"]["name"]) == "crypto-network",
        ),
        (
            "both services are in the network",
            [kafka, host].iter().all(|s| has(&s["networks"], "crypto-network")),
        ),
        ("the host is built from this repository", text_of(&host["build"]) == "."),
        ("the host waits for a healthy broker", waits_for_health(host)),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| format!("not so: {rule}")).collect()
}

fn text_of(value: &Yaml) -> &str {
    value.as_str().unwrap_or_default()
}

fn setting<'a>(service: &'a Yaml, name: &str) -> &'a str {
    text_of(&service["environment"][name])
}

fn has(list: &Yaml, wanted: &str) -> bool {
    list.as_vec().is_some_and(|items| items.iter().any(|item| item.as_str() == Some(wanted)))
}

fn mounts(service: &Yaml, volume: &str) -> bool {
    let mounts = service["volumes"].as_vec();
    mounts.is_some_and(|all| all.iter().any(|mount| text_of(mount).starts_with(&format!("{volume}:"))))
}

fn waits_for_health(service: &Yaml) -> bool {
    text_of(&service["depends_on"]["kafka"]["condition"]) == "service_healthy"
}

fn compose_file() -> String {
    fs::read_to_string(root().join("docker-compose.yml")).expect("docker-compose.yml")
}

#[test]
fn the_compose_file_keeps_its_promises() {
    assert_none(complaints(&compose_file()));
}

#[test]
fn a_broken_compose_file_is_seen() {
    let whole = compose_file();
    for (part, broken) in [
        ("9092:9092", "9095:9092"),
        ("kafka:9093", "kafka:9094"),
        ("kafka-data:/", "other:/"),
        ("service_healthy", "service_started"),
        ("KAFKA_NUM_PARTITIONS: \"2\"", "KAFKA_NUM_PARTITIONS: \"1\""),
        ("healthcheck:", "nothing:"),
    ] {
        assert!(whole.contains(part), "{part}");
        assert!(!complaints(&whole.replace(part, broken)).is_empty(), "{broken}");
    }
    assert!(!complaints("services: [").is_empty());
}
