//! What may change between a checkpoint and the job that takes it up: the settings
//! of both are compared, and each difference is allowed or refused. It reads no
//! configuration and no checkpoint; both are handed in as plain values.

use crate::time::{Duration, WindowSpec};

/// The settings of a job that its states and its output depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSettings {
    pub job: String,
    pub topic: String,
    pub aggregates: Vec<AggregateSettings>,
}

/// The settings of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateSettings {
    pub name: String,
    pub key: Vec<String>,
    pub window: WindowSpec,
    pub delay: Duration,
    /// Whether its files hold the key as columns.
    pub keep_key_column: bool,
    pub plugin: PluginSettings,
}

/// What an aggregate's plugin is and what it makes states of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSettings {
    /// The component's digest, as it is shown.
    pub digest: String,
    /// A hash of its configuration, as it is shown.
    pub config_hash: String,
    /// The version of the contract that it was built for.
    pub contract: String,
    pub state_version: u32,
    /// The state's columns in one line: names, types and nullability.
    pub state_columns: String,
}

/// One difference between a checkpoint and the present settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The job goes on with the present setting.
    Allowed { what: String, stored: String, present: String },
    /// An aggregate that the checkpoint does not know: it begins at the present cut.
    /// Rows of windows that start before `withheld_until_us` are withheld, because
    /// some of their rows may lie before the cut; `None` when there was no row yet.
    NewAggregate { name: String, withheld_until_us: Option<i64> },
    /// An aggregate that the checkpoint knows and the settings do not: the job does not
    /// start unless it is dropped.
    RemovedAggregate { name: String },
    /// The job does not start.
    Refused(Refusal),
}

/// A setting that differs and may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {present}, but the checkpoint was made with {stored}: {what_to_do}")]
pub struct Refusal {
    pub what: String,
    pub stored: String,
    pub present: String,
    pub what_to_do: String,
}

/// All differences, in the order of the present aggregates, removed ones last.
///
/// `greatest_event_ms` is the greatest event time of an accepted row so far, over all
/// partitions. Empty when the settings are the same.
pub fn compare(
    stored: &JobSettings,
    present: &JobSettings,
    greatest_event_ms: Option<i64>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let another_job = "use this job's own checkpoint directory, or another one to start anew";
    differences.extend(refused("the job's name", &stored.job, &present.job, another_job));
    differences.extend(refused("the topic", &stored.topic, &present.topic, another_job));
    for aggregate in &present.aggregates {
        match stored.aggregates.iter().find(|known| known.name == aggregate.name) {
            Some(known) => compare_aggregate(known, aggregate, &mut differences),
            None => differences.push(Difference::NewAggregate {
                name: aggregate.name.clone(),
                withheld_until_us: withheld_until_us(aggregate.window, greatest_event_ms),
            }),
        }
    }
    let is_present = |name: &str| present.aggregates.iter().any(|aggregate| aggregate.name == name);
    let removed = stored.aggregates.iter().filter(|known| !is_present(&known.name));
    differences.extend(removed.map(|known| Difference::RemovedAggregate { name: known.name.clone() }));
    differences
}

/// The refusals among the differences.
pub fn refusals(differences: &[Difference]) -> impl Iterator<Item = &Refusal> {
    differences.iter().filter_map(|difference| match difference {
        Difference::Refused(refusal) => Some(refusal),
        _ => None,
    })
}

/// The start of the first window that no row before the cut can belong to: the end of
/// the one that holds the greatest event time so far.
pub fn withheld_until_us(window: WindowSpec, greatest_event_ms: Option<i64>) -> Option<i64> {
    let event_us = greatest_event_ms?.saturating_mul(1_000);
    Some(window.end_of(window.start_of(event_us)))
}

fn compare_aggregate(
    stored: &AggregateSettings,
    present: &AggregateSettings,
    differences: &mut Vec<Difference>,
) {
    let what = |setting: &str| format!("the {setting} of aggregate {:?}", present.name);
    let rename = "go back to the stored one, or give the aggregate another name and output";
    let (was, is) = (stored.key.join(", "), present.key.join(", "));
    differences.extend(refused(&what("key"), &was, &is, rename));
    let (was, is) = (stored.window.size(), present.window.size());
    differences.extend(refused(&what("window"), &was.to_string(), &is.to_string(), rename));
    let (was, is) = (stored.keep_key_column.to_string(), present.keep_key_column.to_string());
    differences.extend(refused(&what("keep_key_column"), &was, &is, rename));
    let (was, is) = (stored.delay.to_string(), present.delay.to_string());
    differences.extend(allowed(&what("watermark delay"), &was, &is));
    compare_plugin(&stored.plugin, &present.plugin, what, differences);
}

/// Another plugin may take over states that have the same meaning and shape.
fn compare_plugin(
    stored: &PluginSettings,
    present: &PluginSettings,
    what: impl Fn(&str) -> String,
    differences: &mut Vec<Difference>,
) {
    let keep =
        "start with the stored plugin and configuration, or give the aggregate another name and output";
    let (was, is) = (stored.state_version.to_string(), present.state_version.to_string());
    differences.extend(refused(&what("state version"), &was, &is, keep));
    let (was, is) = (&stored.state_columns, &present.state_columns);
    differences.extend(refused(&what("state's columns"), was, is, keep));
    differences.extend(allowed(&what("plugin"), &stored.digest, &present.digest));
    differences.extend(allowed(&what("plugin's configuration"), &stored.config_hash, &present.config_hash));
    differences.extend(allowed(&what("plugin's contract"), &stored.contract, &present.contract));
}

fn refused(what: &str, stored: &str, present: &str, what_to_do: &str) -> Option<Difference> {
    let refusal = || Refusal {
        what: what.to_owned(),
        stored: stored.to_owned(),
        present: present.to_owned(),
        what_to_do: what_to_do.to_owned(),
    };
    (stored != present).then(|| Difference::Refused(refusal()))
}

fn allowed(what: &str, stored: &str, present: &str) -> Option<Difference> {
    let (what, was, is) = (what.to_owned(), stored.to_owned(), present.to_owned());
    (stored != present).then_some(Difference::Allowed { what, stored: was, present: is })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn aggregate(name: &str) -> AggregateSettings {
        AggregateSettings {
            name: name.to_owned(),
            key: vec!["symbol".to_owned()],
            window: WindowSpec::new("1d".parse().unwrap()).unwrap(),
            delay: "1h".parse().unwrap(),
            keep_key_column: false,
            plugin: PluginSettings {
                digest: "sha256:1a".to_owned(),
                config_hash: "2b".to_owned(),
                contract: "0.1.0".to_owned(),
                state_version: 1,
                state_columns: "count s64".to_owned(),
            },
        }
    }

    fn job() -> JobSettings {
        let aggregates = vec![aggregate("daily"), aggregate("other")];
        JobSettings { job: "prices".to_owned(), topic: "ticks".to_owned(), aggregates }
    }

    fn differences(change: impl Fn(&mut JobSettings)) -> Vec<Difference> {
        let mut present = job();
        change(&mut present);
        compare(&job(), &present, Some(DAY_MS + 5))
    }

    #[test]
    fn the_same_settings_have_no_differences() {
        assert_eq!(differences(|_| {}), []);
        assert_eq!(differences(|job| job.aggregates.reverse()), []);
    }

    #[test]
    fn what_decides_the_states_may_not_change() {
        let check = |change: fn(&mut JobSettings), message: &str| {
            let differences = differences(change);
            let [Difference::Refused(refusal)] = &differences[..] else { panic!("{differences:?}") };
            assert_eq!(refusal.to_string().split(": ").next(), Some(message));
            assert_eq!(refusals(&differences).count(), 1);
        };
        check(|j| j.job = "x".into(), "the job's name is x, but the checkpoint was made with prices");
        check(|j| j.topic = "x".into(), "the topic is x, but the checkpoint was made with ticks");
        check(
            |j| j.aggregates[0].key.push("date".into()),
            "the key of aggregate \"daily\" is symbol, date, but the checkpoint was made with symbol",
        );
        check(
            |j| j.aggregates[0].window = WindowSpec::new("1h".parse().unwrap()).unwrap(),
            "the window of aggregate \"daily\" is 1h, but the checkpoint was made with 1d",
        );
        check(
            |j| j.aggregates[0].keep_key_column = true,
            "the keep_key_column of aggregate \"daily\" is true, but the checkpoint was made with false",
        );
        check(
            |j| j.aggregates[1].plugin.state_version = 2,
            "the state version of aggregate \"other\" is 2, but the checkpoint was made with 1",
        );
        check(
            |j| j.aggregates[1].plugin.state_columns = "sum f64".into(),
            "the state's columns of aggregate \"other\" is sum f64, but the checkpoint was made with count s64",
        );
    }

    #[test]
    fn a_removed_aggregate_is_told_apart_from_a_setting_that_may_not_change() {
        let name = "other".to_owned();
        assert_eq!(differences(|job| _ = job.aggregates.pop()), [Difference::RemovedAggregate { name }]);
    }

    #[test]
    fn what_the_states_do_not_depend_on_may_change() {
        let check = |change: fn(&mut JobSettings), setting: &str, values: [&str; 2]| {
            let [stored, present] = values.map(str::to_owned);
            let what = format!("the {setting} of aggregate \"daily\"");
            assert_eq!(differences(change), [Difference::Allowed { what, stored, present }]);
        };
        check(|j| j.aggregates[0].delay = "2h".parse().unwrap(), "watermark delay", ["1h", "2h"]);
        check(|j| j.aggregates[0].plugin.digest = "sha256:3c".into(), "plugin", ["sha256:1a", "sha256:3c"]);
        check(|j| j.aggregates[0].plugin.config_hash = "4d".into(), "plugin's configuration", ["2b", "4d"]);
        check(|j| j.aggregates[0].plugin.contract = "0.2.0".into(), "plugin's contract", ["0.1.0", "0.2.0"]);
    }

    #[test]
    fn a_new_aggregate_begins_with_the_first_window_it_can_see_whole() {
        let new = |until| [Difference::NewAggregate { name: "new".to_owned(), withheld_until_us: until }];
        let mut present = job();
        present.aggregates.push(aggregate("new"));
        let check = |greatest_ms, until_us| {
            assert_eq!(compare(&job(), &present, greatest_ms), new(until_us), "{greatest_ms:?}");
        };
        check(None, None);
        check(Some(DAY_MS + 5), Some(2 * DAY_MS * 1_000));
        check(Some(DAY_MS), Some(2 * DAY_MS * 1_000));
        check(Some(DAY_MS - 1), Some(DAY_MS * 1_000));
    }
}
