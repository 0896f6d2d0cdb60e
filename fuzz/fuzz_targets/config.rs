//! The pipeline file: any text is a job that can be, or is refused with a message that says where.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, reason = "the host has uses for all of it")]
#[path = "../../host/src/config/mod.rs"]
mod config;
#[path = "../../host/plugin/src/limits.rs"]
mod limits;

// The configuration knows the plugin runtime by these values alone, and they are all of it that is fuzzed here.
extern crate self as speed_layer_plugin;
pub use limits::Limits;

use config::{ConfigError, JobSpec, RunFlags, load};

/// Read again and again: the configuration comes from a file.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("speed-layer-fuzz-{}.toml", std::process::id()))
});

fuzz_target!(|input| {
    std::fs::write(&*FILE, input).expect("the file can be written");
    let read = || load(RunFlags { pipeline: Some(FILE.clone()), ..RunFlags::default() });
    match read() {
        Ok(job) => {
            check_job(&job);
            assert_eq!(read().expect("the same once more"), job);
        }
        Err(error) => check_refusal(&error, input),
    }
});

fn check_job(job: &JobSpec) {
    assert!(!job.name.is_empty() && !job.name.contains(['/', '\0']), "{:?}", job.name);
    assert!(!job.aggregates.is_empty());
    assert!(job.source.metadata_refresh_ms > 0);
    assert!(job.max_records_per_trigger != Some(0));
    assert!((0.0..=1.0).contains(&job.poison.share_max));
    for (number, aggregate) in job.aggregates.iter().enumerate() {
        assert!(aggregate.window_ms > 0);
        let earlier = &job.aggregates[..number];
        assert!(earlier.iter().all(|other| other.name != aggregate.name && other.output != aggregate.output));
    }
    let aggregates = job.aggregates.iter().map(|aggregate| &aggregate.stage);
    for stage in aggregates.chain(&job.transforms).chain([&job.parse]) {
        let given: serde_json::Value = serde_json::from_str(&stage.config_json()).expect("settings are JSON");
        assert_eq!(given, serde_json::Value::Object(stage.config.clone()));
        assert!(is_of_toml(&given), "{given}");
    }
}

/// A file knows no null, and no plugin should see how the TOML reader passes times on.
fn is_of_toml(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::Array(list) => list.iter().all(is_of_toml),
        serde_json::Value::Object(entries) => {
            let time = entries.get("$__toml_private_datetime").filter(|_| entries.len() == 1);
            !time.is_some_and(serde_json::Value::is_string) && entries.values().all(is_of_toml)
        }
        _ => true,
    }
}

fn check_refusal(error: &ConfigError, input: &[u8]) {
    match error {
        ConfigError::Unreadable { .. } => assert!(std::str::from_utf8(input).is_err(), "{error}"),
        ConfigError::Invalid { place, problem } => {
            assert!(!place.is_empty() && !problem.is_empty(), "{error:?}");
            if let Some((_, line)) = place.rsplit_once(" line ") {
                let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count();
                assert!(line.parse::<usize>().is_ok_and(|line| (1..=lines).contains(&line)), "{error}");
            }
        }
        ConfigError::Missing { key, flag, .. } => assert!(!key.is_empty() && flag.starts_with("--")),
    }
}
