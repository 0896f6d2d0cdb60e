//! The names of aggregates on the command line, against those of the settings. What the
//! checkpoint says to them is not looked at here.

use super::ConfigError;
use super::job::{AggregateChanges, JobSpec};
use super::nearest::nearest;

impl JobSpec {
    /// The same job, whose next start changes its aggregates so.
    ///
    /// # Errors
    /// One that is to be dropped is among the settings' aggregates, or one that is to be built
    /// is not.
    pub fn with_changes(self, changes: AggregateChanges) -> Result<Self, ConfigError> {
        changes.drop.iter().try_for_each(|name| self.check_dropped(name))?;
        changes.backfill.iter().try_for_each(|name| self.check_backfilled(name))?;
        Ok(Self { changes, ..self })
    }

    fn has_aggregate(&self, name: &str) -> bool {
        self.aggregates.iter().any(|of| of.name == name)
    }

    fn check_dropped(&self, name: &str) -> Result<(), ConfigError> {
        if !self.has_aggregate(name) {
            return Ok(());
        }
        let problem = "the settings still have this aggregate; take it out of them, or leave the flag out";
        Err(ConfigError::invalid(format!("--drop-aggregate {name}"), problem))
    }

    fn check_backfilled(&self, name: &str) -> Result<(), ConfigError> {
        if self.has_aggregate(name) {
            return Ok(());
        }
        let names = || self.aggregates.iter().map(|of| of.name.as_str());
        let meant = nearest(name, names()).map(|near| format!("; did you mean `{near}`?"));
        let problem = format!(
            "the settings have no aggregate of that name, they have {}{}",
            names().collect::<Vec<_>>().join(", "),
            meant.unwrap_or_default()
        );
        Err(ConfigError::invalid(format!("--backfill {name}"), problem))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RunFlags, load};
    use super::*;

    fn check(drop: &str, backfill: &str, told: Option<&[&str]>) {
        let file = |name: &str| Some(std::path::PathBuf::from(name));
        let flags = RunFlags {
            brokers: Some("b".to_owned()),
            topic: Some("t".to_owned()),
            parse: file("p.wasm"),
            aggregate: file("a.wasm"),
            output: file("out/daily"),
            checkpoint: file("c"),
            ..RunFlags::default()
        };
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let changes = AggregateChanges { drop: list(drop), backfill: list(backfill) };
        match (load(flags).unwrap().with_changes(changes.clone()), told) {
            (Ok(spec), None) => assert_eq!(spec.changes, changes),
            (Err(error), Some(told)) => {
                let error = error.to_string();
                assert!(told.iter().all(|part| error.contains(part)), "{error}");
            }
            (found, _) => panic!("{drop} {backfill}: {found:?}"),
        }
    }

    #[test]
    fn what_is_dropped_is_not_in_the_settings_and_what_is_built_is() {
        check("", "", None);
        check("hourly", "daily", None);
        check("hourly daily", "", Some(&["--drop-aggregate daily", "still have"]));
        check("", "dayli", Some(&["--backfill dayli", "they have daily", "did you mean `daily`?"]));
        check("", "something-else", Some(&["--backfill something-else", "they have daily"]));
    }
}
