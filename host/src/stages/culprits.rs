//! The bounds of a search for what a plugin fails on, be it rows or groups: what a call may take, how long the whole
//! search, and how many may be found. The searches themselves are where the calls are.

use std::time::Duration;

use crate::config::PoisonSpec;

/// So few are never too many, however small the whole.
const FEW: usize = 10;

/// Of the time for a call over the whole: twice what falls to such a part.
pub fn part_of_time(part: usize, whole: usize) -> f64 {
    (2.0 * part as f64 / whole.max(1) as f64).min(1.0)
}

/// What to say of a search that has taken too long. `what` are the rows or the groups.
pub fn took_too_long(what: &str, found: usize, limits: PoisonSpec) -> String {
    let budget = Duration::from_millis(limits.budget_ms).as_secs_f64();
    format!(
        "the {what} that a plugin fails on were not found within {budget} s, {found} so far; replace the plugin or \
         give a larger isolation_budget"
    )
}

/// What to say of so many found among `whole`; `None`: they are not too many.
pub fn too_many(what: &str, found: usize, whole: usize, limits: PoisonSpec) -> Option<String> {
    let max = FEW.max((whole as f64 * limits.share_max) as usize);
    let share = limits.share_max * 100.0;
    (found > max).then(|| {
        format!(
            "a plugin fails on more than {max} {what} of {whole}, which is more than {share} %; replace it, or give a \
             larger poison_share_max to have such {what} dead-lettered"
        )
    })
}
