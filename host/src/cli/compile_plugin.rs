//! `host compile-plugin`, which `host` starts for itself: compiles one component under limits of the system, so that
//! a component that keeps the compiler busy costs this process alone.

use std::io::{stdin, stdout};

use clap::Args;
use speed_layer_plugin::{Limits, compile_for_parent};

#[derive(Debug, Args)]
pub struct CompilePluginArgs {
    /// CPU time
    #[arg(long, value_name = "N")]
    seconds: u64,
    /// Address space
    #[arg(long, value_name = "N")]
    memory_bytes: u64,
    /// The component's size at most
    #[arg(long, value_name = "N")]
    component_bytes: u64,
    /// The guest's stack
    #[arg(long, value_name = "N")]
    stack_bytes: usize,
}

/// Ends the process: with 1 and a sentence on stderr where the component is at fault.
pub fn run(args: &CompilePluginArgs) -> anyhow::Result<()> {
    let limits = Limits {
        compile_seconds_max: args.seconds,
        compile_memory_max: args.memory_bytes,
        component_bytes_max: args.component_bytes,
        stack_bytes_max: args.stack_bytes,
        ..Limits::default()
    };
    compile_for_parent(&limits, &mut stdin().lock(), &mut stdout().lock()).map_err(anyhow::Error::msg)
}
