//! What becomes of open windows that a new plugin may not be able to take over, and from
//! when on it counts rows. Decides over values.

use anyhow::ensure;
use speed_layer_core::settings::withheld_until_us;
use speed_layer_core::time::{Duration, WindowSpec};

use super::asked::Windows;
use crate::config::AggregateSpec;
use crate::plan::StageName;
use crate::stages::AggregateClock;

impl Windows {
    /// What is asked for an aggregate of a swap of `stage`, which has its windows only if
    /// it `can_go_on` with them.
    pub fn of(self, stage: &StageName, aggregate: &str, can_go_on: bool) -> Self {
        match (self, stage) {
            (asked, StageName::Aggregate(name)) if name == aggregate => asked,
            (Self::Rebuild, StageName::Parse | StageName::Transform(_)) => Self::Rebuild,
            (Self::Reset, StageName::Parse | StageName::Transform(_)) if !can_go_on => Self::Reset,
            _ => Self::TakeOver,
        }
    }
}

/// The clock of an aggregate that begins with the first window of which no row can have
/// come before the cut: one that begins after the greatest event time of any partition,
/// and after every window that is open.
pub fn reset_clock(
    spec: &AggregateSpec,
    clock: &AggregateClock,
    greatest_event_ms: Option<i64>,
    open_until_ms: Option<i64>,
) -> anyhow::Result<AggregateClock> {
    let window = WindowSpec::new(Duration::from_ms(spec.window_ms)?)?;
    let seen_ms = withheld_until_us(window, greatest_event_ms).map(|until_us| until_us.div_euclid(1000));
    let withheld_until_ms = seen_ms.max(open_until_ms).max(clock.withheld_until_ms);
    Ok(AggregateClock { withheld_until_ms, ..*clock })
}

/// Refuses a reset that resets nothing.
pub fn check_reset(asked: Windows, found: &[Windows]) -> anyhow::Result<()> {
    ensure!(
        asked != Windows::Reset || found.contains(&Windows::Reset),
        "--reset-windows: every aggregate can go on with its open windows; leave it out"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_meets_the_aggregate_itself_or_those_that_cannot_go_on_behind_another_stage() {
        let daily = StageName::Aggregate("daily".into());
        let check = |asked: Windows, stage: &StageName, can_go_on, expected| {
            assert_eq!(asked.of(stage, "daily", can_go_on), expected, "{asked:?} {stage} {can_go_on}");
        };
        check(Windows::TakeOver, &daily, false, Windows::TakeOver);
        check(Windows::Reset, &daily, true, Windows::Reset);
        check(Windows::Reset, &StageName::Aggregate("hourly".into()), false, Windows::TakeOver);
        check(Windows::Reset, &StageName::Parse, true, Windows::TakeOver);
        check(Windows::Reset, &StageName::Transform(0), false, Windows::Reset);
        check(Windows::Rebuild, &daily, true, Windows::Rebuild);
        check(Windows::Rebuild, &StageName::Aggregate("hourly".into()), true, Windows::TakeOver);
        check(Windows::Rebuild, &StageName::Parse, true, Windows::Rebuild);
    }
}
