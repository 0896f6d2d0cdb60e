//! Every planted bug is caught, and soon: this is what says that the simulator sees.

use std::collections::BTreeSet;

use speed_layer_sim::{MUTANTS, Mutant, SyncKind, play};

/// Within so many seeds.
const SEEDS_MAX: u64 = 8_000;

fn caught_after(mutant: Mutant) -> Option<(u64, String)> {
    (0..SEEDS_MAX).find_map(|seed| Some((seed + 1, play(seed, Some(mutant)).err()?.violation.to_string())))
}

fn missed(mutants: &'static [(&str, Mutant)]) -> Vec<&'static str> {
    let is_missed = |(name, mutant): &&(&str, Mutant)| match caught_after(*mutant) {
        Some((seeds, violation)) => {
            println!("{name}: after {seeds} seeds: {violation}");
            false
        }
        None => true,
    };
    mutants.iter().filter(is_missed).map(|(name, _)| *name).collect()
}

#[test]
fn every_planted_bug_is_caught() {
    let (some, others) = MUTANTS.split_at(MUTANTS.len() / 2);
    let missed = std::thread::scope(|scope| {
        let others = scope.spawn(|| missed(others));
        [missed(some), others.join().unwrap()].concat()
    });
    assert!(missed.is_empty(), "not caught within {SEEDS_MAX} seeds: {missed:?}");
}

#[test]
fn every_kind_of_sync_is_left_out_once() {
    let left_out: BTreeSet<SyncKind> = MUTANTS
        .iter()
        .filter_map(|(_, mutant)| match mutant {
            Mutant::NoSync(kind) => Some(*kind),
            _ => None,
        })
        .collect();
    assert_eq!(left_out.len(), 10);
}
