//! What the limits on plugins cost: the same job over the same topic, in turn with them and without: without the checks
//! of time in the compiled code, and without those of memory and bytes. Prints records a second and the median ratio.
//!
//! The program itself has no such switch; a feature makes a build that has it.
//! `cargo run --release --features speed-layer/unlimited --example limits -- --help`

mod paired;

use clap::Parser;
use paired::Pairs;
use serde_json::Value;
use speed_layer::inside::{run_over, store};
use speed_layer_plugin::set_limits;

/// Runs a job in turn with and without the limits on plugins, and compares how fast it is.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    pairs: Pairs,
}

fn main() -> anyhow::Result<()> {
    Arguments::parse().pairs.compare(
        "limits",
        |spec, with, stop| {
            set_limits(with);
            run_over(spec, store(spec)?, stop, &mut |_| {})
        },
        |_| (String::new(), Value::Null),
    )
}
