//! What was taken from an exchange and what became of it, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::News;
use super::skip::Reason;

#[derive(Debug, Default)]
pub struct Tally {
    /// Tickers taken: delivered, lost, or on their way.
    pub messages: u64,
    pub delivered: u64,
    /// Taken, and not acknowledged by the broker.
    pub lost: u64,
    skipped: BTreeMap<Reason, u64>,
    polls_missed: u64,
    polls_held_back: u64,
    reconnects: u64,
    gaps: u64,
    longest_gap: Duration,
}

impl Tally {
    /// Counts everything but the tickers.
    pub fn count(&mut self, news: &News) {
        match news {
            News::Tick(_) => {}
            News::Skipped(reason) => *self.skipped.entry(*reason).or_default() += 1,
            News::Missed(polls) => self.polls_missed += polls,
            News::HeldBack => self.polls_held_back += 1,
            News::Reconnected => self.reconnects += 1,
            News::Gap(gap) => {
                self.gaps += 1;
                self.longest_gap = self.longest_gap.max(gap.lasted);
            }
        }
    }

    /// One JSON object on one line.
    pub fn to_json(&self, source: &str) -> String {
        let skipped: Map<String, Value> =
            self.skipped.iter().map(|(reason, count)| (reason.name().to_owned(), json!(count))).collect();
        json!({
            "source": source,
            "messages": self.messages,
            "delivered": self.delivered,
            "lost": self.lost,
            "skipped": skipped,
            "polls_missed": self.polls_missed,
            "polls_held_back": self.polls_held_back,
            "reconnects": self.reconnects,
            "gaps": self.gaps,
            "gap_ms_max": u64::try_from(self.longest_gap.as_millis()).unwrap_or(u64::MAX),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::gaps::Gap;
    use super::*;

    #[test]
    fn news_are_counted_by_their_kind() {
        let mut tally = Tally { messages: 3, delivered: 2, lost: 1, ..Tally::default() };
        let gap = |ms| News::Gap(Gap { lasted: Duration::from_millis(ms), from_ms: 1, to_ms: 2 });
        for news in [
            News::Skipped(Reason::NotJson),
            News::Skipped(Reason::Timeout),
            News::Skipped(Reason::NotJson),
            News::Missed(4),
            News::HeldBack,
            News::Reconnected,
            gap(700),
            gap(300),
        ] {
            tally.count(&news);
        }
        let expected = r#"{"source":"x","messages":3,"delivered":2,"lost":1,"skipped":{"timeout":1,"not_json":2},"polls_missed":4,"polls_held_back":1,"reconnects":1,"gaps":2,"gap_ms_max":700}"#;
        assert_eq!(tally.to_json("x"), expected);
    }
}
