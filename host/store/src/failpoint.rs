//! Named places of a run at which a test has the process killed or stopped. Without the feature
//! `failpoints` they are empty: passing one does nothing and costs nothing.
//!
//! What happens at a place is the business of whoever watches: the program in `host/failpoints`.

#[cfg(feature = "failpoints")]
type Watcher = Box<dyn Fn(&'static str) + Send + Sync>;

#[cfg(feature = "failpoints")]
static WATCHER: std::sync::OnceLock<Watcher> = std::sync::OnceLock::new();

/// Has every place call `watcher` with its name; the first one of a process stays.
#[cfg(feature = "failpoints")]
pub fn watch(watcher: Watcher) {
    // A second watcher is none of ours.
    let _ = WATCHER.set(watcher);
}

/// Passes the place of that name.
#[inline]
pub fn fail_point(_name: &'static str) {
    #[cfg(feature = "failpoints")]
    if let Some(watcher) = WATCHER.get() {
        watcher(_name);
    }
}

/// What of `bytes` is to be written first: all of them, or with the feature the first half, so
/// that there is a place between two writes.
#[inline]
pub(crate) fn half(bytes: &[u8]) -> &[u8] {
    if cfg!(feature = "failpoints") { &bytes[..bytes.len().div_ceil(2)] } else { bytes }
}
