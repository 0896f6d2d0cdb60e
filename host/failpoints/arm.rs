//! What the environment asks of the failpoints, and doing it: nothing, listing them, counting how
//! often each is passed, or killing or stopping this process at a certain passing of one.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use speed_layer_store::failpoint::watch;

use crate::points::POINTS;

pub const VARIABLE: &str = "SPEED_LAYER_FAILPOINT";
/// How lines begin that tests look for.
pub const MARK: &str = "failpoint";

const USAGE: &str =
    "say NAME=kill@N or NAME=stop@N (at the Nth passing; without @N at the first), list, or count";
/// Longer than any signal needs to reach this process.
const SIGNAL_PATIENCE: Duration = Duration::from_millis(100);

/// What the environment asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    Nothing,
    /// Print the names and end.
    List,
    /// Print at the end how often each was passed.
    Count,
    Act(Order),
}

/// To send this process a signal when it passes a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    point: &'static str,
    signal: Signal,
    passing: u64,
}

/// How often each point was passed.
pub type Counts = BTreeMap<&'static str, AtomicU64>;

/// Reads the variable's value.
///
/// # Errors
/// It cannot be understood; an unknown point is answered with the nearest one.
pub fn asked(value: Option<&str>) -> Result<Asked, String> {
    match value {
        None => Ok(Asked::Nothing),
        Some("list") => Ok(Asked::List),
        Some("count") => Ok(Asked::Count),
        Some(order) => read_order(order).map(Asked::Act),
    }
}

fn read_order(text: &str) -> Result<Order, String> {
    let wrong = || format!("cannot make sense of {text:?}: {USAGE}");
    let (name, action) = text.split_once('=').ok_or_else(wrong)?;
    let (verb, passing) = action.split_once('@').unwrap_or((action, "1"));
    let signal = match verb {
        "kill" => Signal::KILL,
        "stop" => Signal::STOP,
        _ => return Err(wrong()),
    };
    let passing = passing.parse().ok().filter(|passing| *passing > 0).ok_or_else(wrong)?;
    Ok(Order { point: known(name)?, signal, passing })
}

/// The point of that name.
fn known(name: &str) -> Result<&'static str, String> {
    let names = || POINTS.iter().map(|(name, _)| *name);
    let nearest = names().min_by_key(|known| strsim::damerau_levenshtein(name, known)).unwrap_or_default();
    names().find(|known| *known == name).ok_or_else(|| {
        format!("there is no failpoint {name:?}; the nearest is {nearest:?}, `list` prints all")
    })
}

/// Counts at every point from now on.
pub fn count() -> Arc<Counts> {
    let counts: Arc<Counts> = Arc::new(POINTS.iter().map(|(name, _)| (*name, AtomicU64::new(0))).collect());
    let counted = Arc::clone(&counts);
    watch(Box::new(move |name| {
        if let Some(count) = counted.get(name) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }));
    counts
}

impl Order {
    /// Lies in wait for the passing.
    pub fn arm(self) {
        let passings = AtomicU64::new(0);
        watch(Box::new(move |name| {
            if name == self.point && passings.fetch_add(1, Ordering::SeqCst) + 1 == self.passing {
                self.obey();
            }
        }));
    }

    fn obey(&self) {
        // Whether anybody reads it does not matter: the signal follows.
        let _ = writeln!(std::io::stderr(), "{MARK} {} passed {} times", self.point, self.passing);
        // Fails only for a process that is gone.
        let _ = kill_process(getpid(), self.signal);
        // The kernel may choose another thread to take the signal first: this one stays here until then.
        thread::sleep(SIGNAL_PATIENCE);
    }
}
