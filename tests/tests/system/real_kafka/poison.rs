//! A plugin that fails on single records of a real topic: each is found again with its bytes and who failed.

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::places;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Plan, Spread};

use super::{DAY_MS, HOUR_MS};

/// The guest traps on this price.
const TRAP: f64 = 1_000_001.25;

fn pipeline() -> String {
    let guest = places::test_plugin("poison_transform");
    let stages = |transform: &str| format!("[[transform]]\nplugin = \"{transform}\"\n");
    format!(
        r#"name = "daily"
checkpoint = "{{folder}}/checkpoint"
max_records_per_trigger = 5000

[source.kafka]
brokers = "{{brokers}}"
topic = "{{topic}}"

[limits]
poison_share_max = 0.01

[parse]
plugin = "{{plugins}}/ticker_json.wasm"

{}{}
[[aggregate]]
name = "daily"
plugin = "{{plugins}}/ohlcv.wasm"
sink = [{{ type = "parquet", path = "{{folder}}/output/daily" }}]
"#,
        stages("{plugins}/ticker_time.wasm"),
        stages(&guest.display().to_string())
    )
}

#[test]
fn records_that_a_transform_traps_on_are_dead_letters_with_their_bytes_and_the_plugin() {
    let broker = kafka::shared();
    let plan = Plan { rows: 20_000, jitter_ms: HOUR_MS / 2, ..Plan::default() };
    let mut records = plan.records(2, Spread::InTurn);
    let watermark = watermark_ms(&records, HOUR_MS);
    for place in [0, 7, 8, 9_000, 9_001, 15_000] {
        let record = &mut records[place];
        let tick = record.tick.as_mut().expect("no bad records were asked for");
        tick.price = Some(TRAP);
        record.value = tick.to_json().into_bytes();
    }
    broker.topic_of("poison", 2, &records);
    let (poison, honest): (Vec<_>, Vec<_>) = records
        .into_iter()
        .partition(|record| record.tick.as_ref().is_some_and(|tick| tick.price == Some(TRAP)));
    let job = Job::new(broker, "poison").pipeline(&pipeline());
    let summary = job.summary();
    assert_eq!(summary["records_in"], 20_000, "{summary}");
    assert_eq!(summary["account"]["dead_lettered"]["transform"], poison.len(), "{summary}");
    assert_equal(&closed(ohlcv(&honest, DAY_MS, "daily"), DAY_MS, watermark), &job.table());
    let letters = job.dead_letters();
    let found: Vec<_> =
        letters.iter().map(|letter| (letter.partition, letter.offset, letter.value.as_ref())).collect();
    let mut wanted: Vec<_> =
        poison.iter().map(|record| (record.partition, record.offset, Some(&record.value))).collect();
    wanted.sort();
    assert_eq!(found, wanted);
    for letter in &letters {
        assert_eq!(
            (letter.kind.as_str(), letter.stage.as_str()),
            ("plugin-trapped", "transform:1"),
            "{letter:?}"
        );
        let digest = letter.plugin_digest.as_deref().expect("a plugin was to blame");
        assert!(
            letter.message.contains("poison_transform") && letter.message.contains(&digest[..12]),
            "{letter:?}"
        );
    }
}
