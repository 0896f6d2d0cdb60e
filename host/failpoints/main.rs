//! The program `host` with failpoints: named places at which it kills or stops itself when the
//! environment variable `SPEED_LAYER_FAILPOINT` says so. Only `cargo xtask kill` builds it, by
//! the feature `failpoints`; in every other build these places are empty.

#![forbid(unsafe_code)]

mod arm;
mod points;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use arm::{Asked, VARIABLE};

fn main() -> ExitCode {
    match arm::asked(std::env::var(VARIABLE).ok().as_deref()) {
        Ok(Asked::Nothing) => speed_layer::cli::main(),
        Ok(Asked::List) => {
            points::POINTS.iter().for_each(|(name, stage)| println!("{name} {stage:?}"));
            ExitCode::SUCCESS
        }
        Ok(Asked::Count) => {
            let counts = arm::count();
            let code = speed_layer::cli::main();
            for (name, count) in counts.iter() {
                eprintln!("{} {name} {}", arm::MARK, count.load(Ordering::SeqCst));
            }
            code
        }
        Ok(Asked::Act(order)) => {
            order.arm();
            speed_layer::cli::main()
        }
        Err(problem) => {
            eprintln!("error: {VARIABLE}: {problem}");
            ExitCode::from(2)
        }
    }
}
