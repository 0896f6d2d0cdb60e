//! The one line that a run ends with: the account of what this process committed, and
//! how fast it went.

use serde_json::{Map, Value, json};
use speed_layer_core::account::Account;

use super::commit::Joined;
use super::process;
use crate::config::JobSpec;

/// Everything in the summary line.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub job: String,
    pub account: Account,
    /// The aggregate whose terms stand at the top level.
    pub first_aggregate: String,
    /// The records that were read again for new aggregates, on an account of their own.
    pub backfilled: Option<Joined>,
    pub windows_out: u64,
    pub commits: u64,
    /// From the first fetch to the last commit; not there when nothing was committed.
    pub running_ms: Option<u64>,
    /// From the process's start to its first poll.
    pub start_ms: Option<u64>,
    pub peak_rss_mb: Option<u64>,
}

impl Summary {
    /// Of a run that was asked to stop before it began.
    pub fn of_nothing(spec: &JobSpec) -> Self {
        let names = spec.aggregates.iter().map(|aggregate| aggregate.name.as_str());
        Self {
            job: spec.name.clone(),
            account: Account::new(names),
            first_aggregate: spec.aggregates[0].name.clone(),
            backfilled: None,
            windows_out: 0,
            commits: 0,
            running_ms: None,
            start_ms: None,
            peak_rss_mb: process::peak_rss_mb(),
        }
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        let account = &self.account;
        let first = account.aggregates.get(&self.first_aggregate).copied().unwrap_or_default();
        let dead_letters = &account.dead_lettered;
        let dead_lettered =
            dead_letters.parse + dead_letters.transform + dead_letters.clock + first.dead_lettered;
        let records_per_s = self.running_ms.map(|ms| account.records_in * 1000 / ms.max(1));
        let mut line = json!({
            "job": self.job,
            "records_in": account.records_in,
            "rows_aggregated": first.aggregated,
            "rows_late": first.late + first.withheld,
            "records_dead_lettered": dead_lettered,
            "windows_out": self.windows_out,
            "commits": self.commits,
            "records_per_s": records_per_s,
            "start_ms": self.start_ms,
            "peak_rss_mb": self.peak_rss_mb,
            "account": account_json(account),
        });
        if let Some(backfilled) = &self.backfilled {
            let windows_out = backfilled.windows_out;
            line["backfilled"] =
                json!({ "windows_out": windows_out, "account": account_json(&backfilled.account) });
        }
        line.to_string()
    }
}

fn account_json(account: &Account) -> Value {
    let aggregates: Map<String, Value> = account
        .aggregates
        .iter()
        .map(|(name, of)| {
            let terms = json!({
                "aggregated": of.aggregated,
                "late": of.late,
                "withheld": of.withheld,
                "dead_lettered": of.dead_lettered,
            });
            (name.clone(), terms)
        })
        .collect();
    json!({
        "records_in": account.records_in,
        "records_parsed": account.records_parsed,
        "rows_parsed": account.rows_parsed,
        "rows_filtered": account.rows_filtered,
        "rows_offered": account.rows_offered,
        "dead_lettered": {
            "parse": account.dead_lettered.parse,
            "transform": account.dead_lettered.transform,
            "clock": account.dead_lettered.clock,
        },
        "groups_dead_lettered": account.groups_dead_lettered,
        "aggregates": aggregates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_one_aggregate_the_top_terms_add_up_to_what_came_in() {
        let mut account = Account {
            records_in: 10,
            records_parsed: 8,
            rows_parsed: 8,
            rows_offered: 7,
            ..Account::new(["daily"])
        };
        account.dead_lettered.parse = 2;
        account.dead_lettered.clock = 1;
        *account.aggregate("daily") = speed_layer_core::account::AggregateAccount {
            aggregated: 4,
            late: 2,
            withheld: 0,
            dead_lettered: 1,
        };
        account.check().unwrap();
        let summary = Summary {
            job: "daily".into(),
            account,
            first_aggregate: "daily".into(),
            backfilled: None,
            windows_out: 3,
            commits: 1,
            running_ms: Some(500),
            start_ms: Some(20),
            peak_rss_mb: None,
        };
        let line: Value = serde_json::from_str(&summary.to_json()).unwrap();
        let term = |name: &str| line[name].as_u64().unwrap();
        assert_eq!(
            term("rows_aggregated") + term("rows_late") + term("records_dead_lettered"),
            term("records_in")
        );
        assert_eq!(term("records_per_s"), 20);
        assert_eq!(line["account"]["dead_lettered"]["parse"], 2);
    }
}
