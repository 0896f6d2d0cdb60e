//! One running instance of a plugin: its store, its limits, and the one way to call
//! it. Turns whatever ends a call early into a typed error, after which the instance
//! is spent. Converts no values.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{Instance as Component, InstancePre};
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::bindings::speed_layer::plugin::types;
use crate::deadline::Overrun;
use crate::guest_host::GuestHost;
use crate::meter::Refused;
use crate::printable::printable;
use crate::switch::limits_are_on;
use crate::{Callback, Clause, Limits, Plugin, PluginError, Refusal};

/// How much of a guest's own explanation is kept.
const EXPLANATION_BYTES_MAX: usize = 4 << 10;
/// The engine has no type for the end of its allowance of bytes, only these words.
const BYTES_EXHAUSTED: &str = "too much data is being copied between the host and the guest";
/// Nor for too many instances, memories and tables: this, what they are, these words and how many.
const COUNT_EXCEEDED: [&str; 2] = ["resource limit exceeded: ", " count too high at "];

/// An instance and the functions `G` of its stage. Belongs to one thread at a time.
pub(crate) struct Instance<G> {
    plugin: Plugin,
    store: Store<GuestHost>,
    guest: G,
    spent: bool,
    /// The time of the next calls, in times of the usual one.
    times: f64,
}

impl<G> Instance<G> {
    /// Starts an instance; `functions` finds the stage's functions in it.
    pub fn start(
        plugin: &Plugin,
        pre: &InstancePre<GuestHost>,
        functions: impl FnOnce(&mut Store<GuestHost>, &Component) -> wasmtime::Result<G>,
    ) -> Result<Self, PluginError> {
        let limits = &plugin.loaded().limits;
        let mut store = Store::new(
            pre.engine(),
            GuestHost::new(Arc::clone(&plugin.loaded().id), limits, Arc::clone(plugin.usage())),
        );
        if limits_are_on() {
            bound(&mut store, limits);
        }
        let instance = pre.instantiate(&mut store).map_err(|error| {
            failure(plugin, Callback::Instantiate, &error, store.data_mut().meter.take_refused())
        })?;
        let guest = functions(&mut store, &instance).map_err(|error| PluginError::Contract {
            call: plugin.call_site(Callback::Instantiate),
            clause: Box::new(Clause::Form { detail: format!("{error:#}") }),
        })?;
        Ok(Self { plugin: plugin.clone(), store, guest, spent: false, times: 1.0 })
    }

    /// Calls the guest under the limits of a call.
    pub fn call<T>(
        &mut self,
        callback: Callback,
        function: impl FnOnce(&G, &mut Store<GuestHost>) -> wasmtime::Result<T>,
    ) -> Result<T, PluginError> {
        if self.spent {
            return Err(PluginError::Spent { call: self.plugin.call_site(callback) });
        }
        self.store.data_mut().begin_call(&self.plugin.loaded().limits, self.times);
        if limits_are_on() {
            self.store.set_epoch_deadline(1);
        }
        let result = function(&self.guest, &mut self.store);
        self.store.data_mut().end_call();
        result.map_err(|error| {
            self.spent = true;
            let refused = self.store.data_mut().meter.take_refused();
            self.noted(failure(&self.plugin, callback, &error, refused))
        })
    }

    /// See [`Timed`](crate::Timed).
    pub fn set_times(&mut self, times: f64) {
        self.times = times;
    }

    /// A call with `rows` rows or groups, whose failure is the plugin's own wish.
    pub fn call_batch<T>(
        &mut self,
        callback: Callback,
        rows: usize,
        function: impl FnOnce(&G, &mut Store<GuestHost>) -> wasmtime::Result<Result<T, types::Failure>>,
    ) -> Result<T, PluginError> {
        let began = Instant::now();
        let outcome = self.call(callback, function);
        self.plugin.usage().note_call(callback, rows, began.elapsed());
        outcome?.map_err(|failure| {
            let call = self.plugin.call_site(callback);
            self.noted(match failure {
                types::Failure::RetryBatch(message) => {
                    PluginError::RetryBatch { call, message: explanation(&message) }
                }
                types::Failure::StopJob(message) => {
                    PluginError::StopJob { call, message: explanation(&message) }
                }
            })
        })
    }

    /// A call that the plugin may refuse.
    pub fn call_refusable<T>(
        &mut self,
        callback: Callback,
        function: impl FnOnce(&G, &mut Store<GuestHost>) -> wasmtime::Result<Result<T, types::Refusal>>,
    ) -> Result<T, PluginError> {
        let outcome = self.call(callback, function)?;
        outcome.map_err(|refusal| {
            let refusal = match (refusal, callback) {
                (
                    types::Refusal::BadConfig(message) | types::Refusal::BadInput(message),
                    Callback::Migrate,
                ) => Refusal::UnreadableStates(explanation(&message)),
                (types::Refusal::BadConfig(message), _) => Refusal::BadConfig(explanation(&message)),
                (types::Refusal::BadInput(message), _) => Refusal::BadInput(explanation(&message)),
            };
            PluginError::Refused { call: self.plugin.call_site(callback), refusal }
        })
    }

    /// What the guest returned, if it keeps the contract; else the instance is spent.
    pub fn accept<T>(&mut self, callback: Callback, checked: Result<T, Clause>) -> Result<T, PluginError> {
        checked.map_err(|clause| {
            self.spent = true;
            let call = self.plugin.call_site(callback);
            self.noted(PluginError::Contract { call, clause: Box::new(clause) })
        })
    }

    /// Counts a failure.
    fn noted(&self, error: PluginError) -> PluginError {
        self.plugin.usage().note_failure(&error);
        error
    }

    /// What the host gives, if it can cross the boundary.
    pub fn offer<T>(&self, callback: Callback, input: Result<T, String>) -> Result<T, PluginError> {
        input.map_err(|what| PluginError::Input { call: self.plugin.call_site(callback), what })
    }

    /// Rows that one call may return.
    pub fn output_rows_max(&self) -> usize {
        self.plugin.loaded().limits.output_rows_max
    }
}

/// Puts an instance's store under its limits.
fn bound(store: &mut Store<GuestHost>, limits: &Limits) {
    store.limiter(|host| &mut host.meter);
    store.set_hostcall_fuel(limits.hostcall_bytes_max);
    store.epoch_deadline_callback(|context| {
        context.data().timer.check()?;
        Ok(UpdateDeadline::Continue(1))
    });
    store.set_epoch_deadline(1);
}

fn explanation(message: &str) -> String {
    printable(message, EXPLANATION_BYTES_MAX)
}

/// Why the engine ended a call: time, memory, a trap, or values of the wrong form.
fn failure(
    plugin: &Plugin,
    callback: Callback,
    error: &wasmtime::Error,
    refused: Option<Refused>,
) -> PluginError {
    let call = plugin.call_site(callback);
    let limits = &plugin.loaded().limits;
    if let Some(Overrun { clock, budget_ms }) = error.downcast_ref().copied() {
        return PluginError::Deadline { call, clock, budget_ms };
    }
    if let Some(refused) = refused {
        return over_limit(call, limits, refused);
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return PluginError::Trap { call, reason: trap.to_string().replace("wasm trap: ", "") };
    }
    let detail = explanation(&format!("{error:#}"));
    if let Some((wanted, max, unit, setting)) = over_count(&detail, limits) {
        return PluginError::MemoryLimit { call, wanted, max: max as u64, unit, setting };
    }
    let clause = if detail.contains(BYTES_EXHAUSTED) {
        Clause::TooManyBytes { max: limits.hostcall_bytes_max }
    } else {
        Clause::Form { detail }
    };
    PluginError::Contract { call, clause: Box::new(clause) }
}

/// How many instances, memories or tables were wanted, when the engine says that there were too many.
fn over_count(detail: &str, limits: &Limits) -> Option<(u64, usize, &'static str, &'static str)> {
    let [before, between] = COUNT_EXCEEDED;
    let (what, found) = detail.split_once(before)?.1.split_once(between)?;
    let digits = found.split(|letter: char| !letter.is_ascii_digit()).next()?;
    let wanted = digits.parse().ok()?;
    Some(match what {
        "instance" => (wanted, limits.instances_max, "core instances", "instances_max"),
        "memory" => (wanted, limits.memories_max, "memories", "memories_max"),
        _ => (wanted, limits.tables_max, "tables", "tables_max"),
    })
}

fn over_limit(call: crate::CallSite, limits: &Limits, refused: Refused) -> PluginError {
    let (wanted, max, unit, setting) = match refused {
        Refused::Memory(wanted) => (wanted, limits.memory_bytes_max, "bytes of memory", "memory_bytes_max"),
        Refused::Table(wanted) => (wanted, limits.table_elements_max, "table elements", "table_elements_max"),
    };
    PluginError::MemoryLimit { call, wanted, max, unit, setting }
}
