//! A plugin instance that can be made anew: after a failure the next call gets a fresh
//! one. A call whose plugin asks to try the batch again, or that ran out of CPU time, is
//! tried once more, and no more.

use speed_layer_plugin::{Clock, PluginError, Timed};
use tracing::warn;

/// An instance and the way to open another one.
pub struct Renewable<T> {
    instance: T,
    failed: bool,
    open: Box<dyn Fn() -> Result<T, PluginError> + Send>,
}

impl<T: Timed> Renewable<T> {
    /// # Errors
    /// When the plugin does not open.
    pub fn open(open: impl Fn() -> Result<T, PluginError> + Send + 'static) -> Result<Self, PluginError> {
        Ok(Self { instance: open()?, failed: false, open: Box::new(open) })
    }

    /// Calls the instance; after `retry-batch` and after a spent CPU budget once more, on a
    /// fresh one, which then has twice the time.
    ///
    /// # Errors
    /// The call's own; of two calls the second one's.
    pub fn call<R>(
        &mut self,
        mut call: impl FnMut(&mut T) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        let (error, times) = match self.call_once(1.0, &mut call) {
            Err(error @ PluginError::RetryBatch { .. }) => (error, 1.0),
            Err(error @ PluginError::Deadline { clock: Clock::Cpu, .. }) => (error, 2.0),
            outcome => return outcome,
        };
        warn!("trying once more: {error}");
        self.call_once(times, &mut call)
    }

    /// Calls the instance, which has this many times the time of a call.
    ///
    /// # Errors
    /// The call's own.
    pub fn call_once<R>(
        &mut self,
        times: f64,
        call: &mut impl FnMut(&mut T) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        if self.failed {
            self.instance = (self.open)()?;
        }
        self.instance.set_times(times);
        let outcome = call(&mut self.instance);
        self.failed = outcome.is_err();
        outcome
    }

    /// The one or the other: with `times` once, else as [`Self::call`].
    ///
    /// # Errors
    /// The call's own.
    pub fn call_in<R>(
        &mut self,
        times: Option<f64>,
        mut call: impl FnMut(&mut T) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        match times {
            Some(times) => self.call_once(times, &mut call),
            None => self.call(call),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use speed_layer_plugin::{CallSite, Callback, Digest, PluginId, Stage};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn asks_again() -> PluginError {
        let plugin = PluginId { name: "p".into(), digest: Digest::of(b"p") };
        let call = CallSite { plugin, stage: Stage::Parse, callback: Callback::Parse };
        PluginError::RetryBatch { call, message: "again".into() }
    }

    fn overran(clock: Clock) -> PluginError {
        PluginError::Deadline { call: asks_again().call().clone(), clock, budget_ms: 1 }
    }

    /// Its number, and the time that it was given.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Counted(u32, f64);

    impl Timed for Counted {
        fn set_times(&mut self, times: f64) {
            self.1 = times;
        }
    }

    /// Counts openings.
    fn renewable() -> (Renewable<Counted>, Arc<AtomicU32>) {
        let opened = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&opened);
        let open = move || Ok(Counted(count.fetch_add(1, Ordering::SeqCst) + 1, 0.0));
        (Renewable::open(open).unwrap(), opened)
    }

    #[test]
    fn a_batch_is_tried_again_once_on_a_fresh_instance() {
        let (mut plugin, opened) = renewable();
        let answer = plugin.call(|instance| if instance.0 == 1 { Err(asks_again()) } else { Ok(*instance) });
        assert_eq!(answer.unwrap(), Counted(2, 1.0));
        let second = plugin.call(|_| Err::<(), _>(asks_again()));
        assert!(matches!(second, Err(PluginError::RetryBatch { .. })));
        assert_eq!(opened.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_call_out_of_cpu_time_has_twice_the_time_once() {
        let (mut plugin, opened) = renewable();
        let answer =
            plugin.call(|instance| if instance.1 < 2.0 { Err(overran(Clock::Cpu)) } else { Ok(*instance) });
        assert_eq!(answer.unwrap(), Counted(2, 2.0));
        assert_eq!(plugin.call(|instance| Ok(*instance)).unwrap(), Counted(2, 1.0));
        assert!(plugin.call(|_| Err::<(), _>(overran(Clock::Cpu))).is_err());
        assert_eq!(opened.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn no_other_failure_is_tried_again_and_the_next_call_has_a_fresh_instance() {
        for failure in [PluginError::Spent { call: asks_again().call().clone() }, overran(Clock::Wall)] {
            let (mut plugin, opened) = renewable();
            let mut failure = Some(failure);
            assert!(plugin.call(|_| Err::<(), _>(failure.take().unwrap())).is_err());
            assert_eq!(opened.load(Ordering::SeqCst), 1);
            assert_eq!(plugin.call_in(Some(0.5), |instance| Ok(*instance)).unwrap(), Counted(2, 0.5));
        }
    }
}
