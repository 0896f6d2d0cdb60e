//! What happens to one batch on a worker's thread: parse, clock, transforms, and the
//! fold into each aggregate's partial states. Knows nothing of Kafka's queues and
//! nothing of commits; a batch goes in, partial states and side rows pile up until a
//! cut takes them.

mod chain;
mod clock;
pub mod culprits;
mod fold;
mod frame;
mod isolate;
mod reject;
mod retry;
mod seen;
mod side_counts;
mod sides;
mod tail;

pub use chain::{Chain, Partial};
pub use fold::{STATE_BYTES_PER_CALL_MAX, empty_table, open_aggregator};
pub use retry::Renewable;
pub use seen::{ASIDE_KEY, OFFERED_KEY, Seen};
pub use side_counts::SideCounts;
pub use sides::{Side, SideRow, Sides};
pub use tail::Tail;

/// The clocks and closed windows that one epoch's rows are held to. Stored in the
/// epoch's commit, so that the same row is judged the same way again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochContext {
    pub epoch: u64,
    /// Wall clock at which the epoch began.
    pub epoch_began_ms: i64,
    /// For each aggregate, as of the last commit.
    pub aggregates: Vec<AggregateClock>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AggregateClock {
    /// Windows that end at or before this are closed.
    pub closed_through_ms: Option<i64>,
    /// Windows that end at or before this are published: the same, but where closed windows are held.
    pub released_through_ms: Option<i64>,
    /// The wall clock by which they were closed, where all partitions were idle then.
    pub idle_trigger_ms: Option<i64>,
    /// Windows that start before this were begun without the aggregate.
    pub withheld_until_ms: Option<i64>,
}

impl AggregateClock {
    /// Windows are closed up to here, and none of them is held.
    pub fn published(closed_through_ms: Option<i64>) -> Self {
        Self { closed_through_ms, released_through_ms: closed_through_ms, ..Self::default() }
    }
}

impl EpochContext {
    /// What a plugin is told: an aggregate its own clock, other stages the least of all.
    pub fn for_aggregate(&self, index: usize) -> speed_layer_plugin::Context {
        self.context(self.aggregates[index].closed_through_ms)
    }

    /// See [`Self::for_aggregate`].
    pub fn for_row_stages(&self) -> speed_layer_plugin::Context {
        self.context(self.aggregates.iter().map(|clock| clock.closed_through_ms).min().flatten())
    }

    fn context(&self, closed_through_ms: Option<i64>) -> speed_layer_plugin::Context {
        speed_layer_plugin::Context {
            epoch: self.epoch,
            closed_through_ms,
            epoch_began_ms: self.epoch_began_ms,
        }
    }
}
