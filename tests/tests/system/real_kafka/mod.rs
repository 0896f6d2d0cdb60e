//! Tests with a broker.

mod aggregates_built;
mod aggregates_dropped;
mod bad_input;
mod brokers_away;
mod checkpoints;
mod compacted;
mod dead_letters;
mod disk_faults;
mod full_disk;
mod hostile_keys;
mod idleness;
mod kafka_security;
mod letters_replayed;
mod letters_shown;
mod letters_to_topic;
mod owners;
mod pipelines;
mod poison;
mod positions;
mod pressure;
mod produce;
mod progress;
mod python_readers;
mod recomputes;
mod refusals;
mod restarts;
mod results;
mod shadow;
mod sided;
mod swap_windows;
mod swaps;
mod swaps_meanwhile;
mod swaps_refused;
mod swaps_watched;
mod sync_order;
mod the_broker;
mod topic_changes;
mod transactions;
mod truncated;

use speed_layer_tests::job::LIMIT;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
