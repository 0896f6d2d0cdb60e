//! The one engine of the process: what code it makes, and the clock that interrupts
//! it. The settings make the same input give the same output on every machine; what a
//! single instance may use is set on its store.

use std::thread;
use std::time::Duration;

use wasmtime::{Config, Engine, EngineWeak, Strategy};

use crate::Limits;
use crate::switch::limits_are_on;

const TICK: Duration = Duration::from_millis(10);

/// An engine and its ticker, which ends by itself when the last user of the engine is
/// gone.
pub(crate) fn start(limits: &Limits) -> wasmtime::Result<Engine> {
    let engine = Engine::new(&config(limits))?;
    let weak = engine.weak();
    thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || tick(&weak))?;
    Ok(engine)
}

/// Guests that run look at the epoch, and on a new one at their timer.
fn tick(engine: &EngineWeak) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        thread::sleep(TICK);
    }
}

/// What decides on the code that is made.
pub(crate) fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(limits_are_on())
        .max_wasm_stack(limits.stack_bytes_max);
    config.cranelift_nan_canonicalization(true).wasm_relaxed_simd(false);
    config.concurrency_support(false);
    for feature in [Config::wasm_memory64, Config::wasm_multi_memory, Config::wasm_tail_call] {
        feature(&mut config, false);
    }
    // Nobody reads guest backtraces: a trap's reason is enough and the code stays small.
    config.wasm_backtrace_max_frames(None).generate_address_map(false).native_unwind_info(false);
    config
}
