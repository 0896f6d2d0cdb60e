//! The `[limits]` of a pipeline file: what plugins may use, and what the rows that they
//! fail on may cost. The keys are those that the errors name.

use serde::Deserialize;
use speed_layer_plugin::Limits;

use super::job::{OnGroupFailure, PoisonSpec};
use super::{ConfigError, values};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileLimits {
    pub call_cpu_ms: Option<u64>,
    pub memory_bytes_max: Option<u64>,
    pub table_elements_max: Option<u64>,
    pub tables_max: Option<usize>,
    pub memories_max: Option<usize>,
    pub instances_max: Option<usize>,
    pub stack_bytes_max: Option<usize>,
    pub component_bytes_max: Option<u64>,
    pub compile_seconds_max: Option<u64>,
    pub compile_memory_max: Option<u64>,
    pub hostcall_bytes_max: Option<usize>,
    pub output_rows_max: Option<usize>,
    pub isolation_budget: Option<String>,
    pub poison_share_max: Option<f64>,
    pub on_group_failure: Option<String>,
    pub memory_max: Option<u64>,
}

impl FileLimits {
    /// What the open groups may take, bytes.
    ///
    /// # Errors
    /// It is so little that no job runs.
    pub fn memory_max(&self) -> Result<Option<u64>, ConfigError> {
        match self.memory_max {
            Some(bytes) if bytes < MEMORY_MAX_MIN => {
                let problem =
                    format!("{bytes} is too little to hold anything; give at least {MEMORY_MAX_MIN} bytes");
                Err(ConfigError::invalid("memory_max", problem))
            }
            given => Ok(given),
        }
    }

    /// Fills in the defaults.
    ///
    /// # Errors
    /// Names a value under which no plugin could run.
    pub fn finish(self) -> Result<(Limits, PoisonSpec), ConfigError> {
        let (limits, poison) = (Limits::default(), PoisonSpec::default());
        let limits = Limits {
            call_cpu_ms: positive("call_cpu_ms", self.call_cpu_ms, limits.call_cpu_ms)?,
            memory_bytes_max: positive("memory_bytes_max", self.memory_bytes_max, limits.memory_bytes_max)?,
            table_elements_max: self.table_elements_max.unwrap_or(limits.table_elements_max),
            tables_max: self.tables_max.unwrap_or(limits.tables_max),
            memories_max: positive("memories_max", self.memories_max, limits.memories_max)?,
            instances_max: positive("instances_max", self.instances_max, limits.instances_max)?,
            stack_bytes_max: stack(self.stack_bytes_max, limits.stack_bytes_max)?,
            component_bytes_max: positive(
                "component_bytes_max",
                self.component_bytes_max,
                limits.component_bytes_max,
            )?,
            compile_seconds_max: positive(
                "compile_seconds_max",
                self.compile_seconds_max,
                limits.compile_seconds_max,
            )?,
            compile_memory_max: positive(
                "compile_memory_max",
                self.compile_memory_max,
                limits.compile_memory_max,
            )?,
            hostcall_bytes_max: positive(
                "hostcall_bytes_max",
                self.hostcall_bytes_max,
                limits.hostcall_bytes_max,
            )?,
            output_rows_max: positive("output_rows_max", self.output_rows_max, limits.output_rows_max)?,
        };
        let budget = self.isolation_budget.as_deref();
        let poison = PoisonSpec {
            budget_ms: budget
                .map_or(Ok(poison.budget_ms), |text| values::duration("isolation_budget", text))?,
            share_max: share(self.poison_share_max, poison.share_max)?,
            groups: self.on_group_failure.as_deref().map_or(Ok(poison.groups), on_group_failure)?,
        };
        Ok((limits, poison))
    }
}

/// Some thousand groups of a large state.
const MEMORY_MAX_MIN: u64 = 16 << 20;

/// Half of the stack of a thread that calls plugins.
const STACK_BYTES_MAX: usize = 1 << 20;

fn stack(given: Option<usize>, default: usize) -> Result<usize, ConfigError> {
    match positive("stack_bytes_max", given, default)? {
        bytes if bytes <= STACK_BYTES_MAX => Ok(bytes),
        bytes => Err(ConfigError::invalid(
            "stack_bytes_max",
            format!("{bytes} is more than the {STACK_BYTES_MAX} bytes that a thread can give"),
        )),
    }
}

fn positive<T: Default + PartialEq>(key: &str, given: Option<T>, default: T) -> Result<T, ConfigError> {
    match given {
        Some(value) if value == T::default() => {
            Err(ConfigError::invalid(key, "under 0 no plugin can run; give a larger number, or none"))
        }
        given => Ok(given.unwrap_or(default)),
    }
}

fn share(given: Option<f64>, default: f64) -> Result<f64, ConfigError> {
    match given {
        Some(share) if !(0.0..=1.0).contains(&share) => {
            Err(ConfigError::invalid("poison_share_max", format!("{share} is not from 0 to 1, such as 0.1")))
        }
        given => Ok(given.unwrap_or(default)),
    }
}

fn on_group_failure(text: &str) -> Result<OnGroupFailure, ConfigError> {
    match text {
        "stop" => Ok(OnGroupFailure::Stop),
        "dead-letter" => Ok(OnGroupFailure::DeadLetter),
        other => Err(ConfigError::invalid(
            "on_group_failure",
            format!("`{other}` is neither `stop` nor `dead-letter`"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Limits, PoisonSpec), String> {
        let file: FileLimits = toml::from_str(text).map_err(|error| error.to_string())?;
        file.memory_max().map_err(|error| error.to_string())?;
        file.finish().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_given_keeps_its_default() {
        let (limits, poison) = read("call_cpu_ms = 7\nisolation_budget = \"2m\"").unwrap();
        assert_eq!(limits, Limits { call_cpu_ms: 7, ..Limits::default() });
        assert_eq!(poison, PoisonSpec { budget_ms: 120_000, ..PoisonSpec::default() });
    }

    #[test]
    fn limits_under_which_nothing_runs_are_refused_by_their_key() {
        for (text, expected) in [
            ("call_cpu_ms = 0", "call_cpu_ms"),
            ("memory_bytes_max = 0", "memory_bytes_max"),
            ("output_rows_max = 0", "output_rows_max"),
            ("memories_max = 0", "memories_max"),
            ("instances_max = 0", "instances_max"),
            ("compile_seconds_max = 0", "compile_seconds_max"),
            ("compile_memory_max = 0", "compile_memory_max"),
            ("memory_max = 1000", "memory_max"),
            ("stack_bytes_max = 100000000", "1048576 bytes"),
            ("poison_share_max = 1.5", "1.5 is not from 0 to 1"),
            ("isolation_budget = \"long\"", "isolation_budget"),
            ("on_group_failure = \"skip\"", "neither `stop` nor `dead-letter`"),
            ("cpu = 1", "unknown field `cpu`"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
