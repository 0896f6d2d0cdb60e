//! A thousand seeds hold, and a seed tells the same story each time.

use speed_layer_sim::{log, play};

/// Half of them a thread, for machines with two cores.
#[test]
fn a_thousand_seeds_break_no_rule() {
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || (half * 500..half * 500 + 500).for_each(check));
        }
    });
}

fn check(seed: u64) {
    if let Err(failure) = play(seed, None) {
        panic!(
            "{}\nseed {seed} broke a rule: {}; see `cargo xtask sim --seed {seed}`",
            failure.log.join("\n"),
            failure.violation
        );
    }
}

#[test]
fn a_seed_tells_the_same_story_again() {
    for seed in 0..40 {
        assert_eq!(log(seed, None), log(seed, None), "seed {seed}");
    }
}
