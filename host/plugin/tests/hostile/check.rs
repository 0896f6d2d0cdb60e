//! One row of the tables: a guest, the call that it is for, and how that ends.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use speed_layer_plugin::{Limits, Plugin, PluginError, Runtime, RuntimeOptions};

use crate::calls::Call;
use crate::guest::{Does, component};

/// Small, so that what never ends ends soon.
pub const CALL_CPU_MS: u64 = 40;
/// A call is ended so soon after its time is used up.
const OVERRUN_MAX: Duration = Duration::from_millis(100);
const MEMORY_BYTES_MAX: u64 = 64 << 20;
pub const HOSTCALL_BYTES_MAX: usize = 1 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| runtime(limits()));

/// Memory is the whole process's, so nothing else may be checked meanwhile.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn limits() -> Limits {
    Limits {
        call_cpu_ms: CALL_CPU_MS,
        memory_bytes_max: MEMORY_BYTES_MAX,
        hostcall_bytes_max: HOSTCALL_BYTES_MAX,
        ..Limits::default()
    }
}

pub fn runtime(limits: Limits) -> Runtime {
    Runtime::new(RuntimeOptions { cache_dir: None, limits }).unwrap()
}

/// Has `call` of a guest that `does` this end as `expected` says.
pub fn check(case: &str, call: Call, does: &Does, extra: &str, expected: &Ending) {
    let _alone = alone();
    let component = component(call.stage, Some((call, does)), extra);
    let plugin = RUNTIME.load_bytes("hostile", &component).unwrap();
    let outcome = within_bounds(&format!("{case}: {call}"), || call.make(&plugin));
    let callback = if *expected == Ending::AtStart { "instantiate" } else { call.function };
    expected.check(case, &format!("{}.{callback}", call.stage), &plugin, outcome);
}

/// How a call ends: an error of this kind with this in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Its result is as good as any.
    Well,
    /// Out of CPU time.
    Overran,
    Trapped(&'static str),
    OverLimit(&'static str),
    BrokeContract(String),
    /// Out of CPU time before the function was called.
    AtStart,
}

impl Ending {
    pub fn broke(text: impl Into<String>) -> Self {
        Self::BrokeContract(text.into())
    }

    pub fn check(&self, case: &str, call: &str, plugin: &Plugin, outcome: Result<(), PluginError>) {
        let (kind, part) = match self {
            Self::Well => return outcome.unwrap_or_else(|error| panic!("{case}: {error}")),
            Self::Overran | Self::AtStart => ("plugin-overran", "ms of CPU time"),
            Self::Trapped(part) => ("plugin-trapped", *part),
            Self::OverLimit(part) => ("plugin-over-limit", *part),
            Self::BrokeContract(part) => ("plugin-broke-contract", part.as_str()),
        };
        let Err(error) = outcome else { panic!("{case}: {call} went well") };
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{case}: {text}");
        let whose = format!("plugin hostile (sha256:{}), {call}:", plugin.id().digest.short());
        assert!(
            text.starts_with(&whose) && text.contains(part),
            "{case}: no {whose} and {part:?} in: {text}"
        );
        let is_plain = text.chars().all(|letter| !letter.is_control()) && text.len() < 8 << 10;
        assert!(is_plain, "{case}: {text}");
    }
}

/// What `call` gives; it takes no more of the thread's time than a call may, and no more memory than an instance may
/// and a tenth.
pub fn within_bounds<T>(case: &str, call: impl FnOnce() -> T) -> T {
    let (peak, resident) = (memory_bytes("VmHWM:"), memory_bytes("VmRSS:"));
    let began = thread_cpu();
    let given = call();
    let took = thread_cpu() - began;
    let max = Duration::from_millis(CALL_CPU_MS) + OVERRUN_MAX;
    assert!(took <= max, "{case} took {took:?} of CPU time");
    let peak_max = peak.max(resident + MEMORY_BYTES_MAX * 11 / 10);
    let found = memory_bytes("VmHWM:");
    assert!(found <= peak_max, "{case}: {found} bytes were resident, and {resident} before");
    given
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

fn memory_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}
