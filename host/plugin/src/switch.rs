//! Whether the limits on time, memory and bytes are on. They are, in every build but those
//! that measure what they cost.

#[cfg(not(feature = "unlimited"))]
pub(crate) const fn limits_are_on() -> bool {
    true
}

#[cfg(feature = "unlimited")]
static OFF: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

#[cfg(feature = "unlimited")]
pub(crate) fn limits_are_on() -> bool {
    !OFF.load(std::sync::atomic::Ordering::Relaxed)
}

/// Switches the limits on or off for runtimes that are made, and instances that are started,
/// from now on: a runtime's instances are to be of one kind.
#[cfg(feature = "unlimited")]
pub fn set_limits(on: bool) {
    OFF.store(!on, std::sync::atomic::Ordering::Relaxed);
}
