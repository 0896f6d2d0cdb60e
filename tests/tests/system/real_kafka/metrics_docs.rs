//! docs/metrics.md, the dashboard and the scrape example name the metrics that a running job has, and the page's
//! commands print what it says.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use serde_json::Value;
use speed_layer_tests::kafka;
use speed_layer_tests::places::root;
use speed_layer_tests::prometheus::Metrics;
use speed_layer_tests::transcript::{Reader, steps};
use yaml_rust2::YamlLoader;

use super::LIMIT;
use super::metrics::{metrics, settled};

const DOCUMENT: &str = "docs/metrics.md";
const PREFIX: &str = "speed_layer_";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// Name, type and labels of each row of the page's table.
fn documented(text: &str) -> BTreeSet<(String, String, BTreeSet<String>)> {
    let rows = text.lines().filter(|line| line.starts_with("| `speed_layer_"));
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[1].trim_matches('`').to_owned(), cells[2].to_owned(), quoted(cells[3]))
    })
    .collect()
}

/// The same as a job tells it; where a family has no sample now, its labels are taken from the page.
fn told(
    metrics: &Metrics,
    page: &BTreeSet<(String, String, BTreeSet<String>)>,
) -> BTreeSet<(String, String, BTreeSet<String>)> {
    let families = metrics.0.iter().map(|(name, family)| {
        let sampled = family.samples.first().map(|(_, labels, _)| labels.keys().cloned().collect());
        let of_page = || page.iter().find(|(other, _, _)| other == name).map(|(_, _, labels)| labels.clone());
        let mut labels: BTreeSet<String> = sampled.or_else(of_page).unwrap_or_default();
        labels.remove("le");
        (name.clone(), family.kind.clone(), labels)
    });
    families.collect()
}

/// The metrics that an expression names.
fn named(expression: &str) -> Vec<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = expression.split(|letter| !is_part(letter)).filter(|word| word.starts_with(PREFIX));
    words.map(str::to_owned).collect()
}

fn exists(metrics: &Metrics, name: &str) -> bool {
    let is_of = |end: &str| {
        let family = name.strip_suffix(end).and_then(|family| metrics.0.get(family));
        family.is_some_and(|family| family.kind == "histogram")
    };
    let plain = metrics.0.get(name).is_some_and(|family| family.kind != "histogram");
    plain || ["_bucket", "_sum", "_count"].iter().any(|end| is_of(end))
}

#[test]
fn the_page_the_dashboard_and_the_example_name_what_a_job_has() {
    let (_job, _running, address) = settled("metrics-documented");
    let metrics = metrics(&address);
    let page = documented(&read(DOCUMENT));
    assert!(page.len() > 25, "{page:?}");
    assert_eq!(told(&metrics, &page), page);
    let dashboard: Value = serde_json::from_str(&read("docs/grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let expressions: Vec<&str> = targets.map(|of| of["expr"].as_str().expect("an expression")).collect();
    assert!(expressions.len() > 10, "{expressions:?}");
    let text = read(DOCUMENT);
    let code = text.split('`').skip(1).step_by(2);
    for expression in expressions.iter().copied().chain(code) {
        for name in named(expression) {
            let is_prefix = metrics.0.contains_key(&name);
            assert!(is_prefix || exists(&metrics, &name), "{name} of {expression}");
        }
    }
    assert!(
        expressions.iter().all(|of| !named(of).is_empty() && named(of).iter().all(|n| exists(&metrics, n)))
    );
    let example = YamlLoader::load_from_str(&read("docs/prometheus.yml")).expect("YAML");
    let scrape = &example[0]["scrape_configs"][0];
    assert_eq!(scrape["metrics_path"].as_str(), Some("/metrics"));
    assert_eq!(scrape["static_configs"][0]["targets"][0].as_str(), Some("127.0.0.1:8080"));
}

#[test]
fn a_metric_that_is_not_there_is_seen() {
    let text = "# HELP speed_layer_a_seconds A.\n# TYPE speed_layer_a_seconds histogram\n\
                # HELP speed_layer_b B.\n# TYPE speed_layer_b gauge\n";
    let metrics = Metrics::parse(text).expect("it is right");
    let found = |expression: &str| named(expression).iter().all(|name| exists(&metrics, name));
    assert!(found("rate(speed_layer_a_seconds_sum{x=\"1\"}[5m]) / speed_layer_b"));
    for wrong in ["speed_layer_a_seconds", "speed_layer_b_count", "speed_layer_c"] {
        assert!(!found(wrong), "{wrong}");
    }
}

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let steps = steps(&read(DOCUMENT));
    assert!(steps.len() > 5, "there are only {} commands in {DOCUMENT}", steps.len());
    kafka::shared().create_topic("metered-ticks", 2, &[]).expect("a new name");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut reader = Reader::new().expect("a shell");
    reader.shell.run("unset ALL_PROXY HTTP_PROXY all_proxy http_proxy", LIMIT).expect("it ends");
    let (brokers, free) = (kafka::shared().address(), free.to_string());
    let replaced = [("localhost:9092", brokers.as_str()), ("127.0.0.1:8080", &free)];
    reader.type_all(steps, &replaced).unwrap_or_else(|error| panic!("{error:#}"));
}
