//! A plugin instance that can be made anew: a call whose plugin asks to try the batch
//! again is tried once on a fresh instance, and no more.

use speed_layer_plugin::PluginError;
use tracing::warn;

/// An instance and the way to open another one.
pub struct Renewable<T> {
    instance: T,
    open: Box<dyn Fn() -> Result<T, PluginError> + Send>,
}

impl<T> Renewable<T> {
    /// # Errors
    /// When the plugin does not open.
    pub fn open(open: impl Fn() -> Result<T, PluginError> + Send + 'static) -> Result<Self, PluginError> {
        Ok(Self { instance: open()?, open: Box::new(open) })
    }

    /// Calls the instance; after `retry-batch` once more, on a fresh one.
    ///
    /// # Errors
    /// The call's own; of two calls the second one's.
    pub fn call<R>(
        &mut self,
        mut call: impl FnMut(&mut T) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        match call(&mut self.instance) {
            Err(error @ PluginError::RetryBatch { .. }) => {
                warn!("trying once more: {error}");
                self.instance = (self.open)()?;
                call(&mut self.instance)
            }
            outcome => outcome,
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

    /// Counts openings; the instance is its number.
    fn renewable() -> (Renewable<u32>, Arc<AtomicU32>) {
        let opened = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&opened);
        let open = move || Ok(count.fetch_add(1, Ordering::SeqCst) + 1);
        (Renewable::open(open).unwrap(), opened)
    }

    #[test]
    fn a_batch_is_tried_again_once_on_a_fresh_instance() {
        let (mut plugin, opened) = renewable();
        let answer = plugin.call(|instance| if *instance == 1 { Err(asks_again()) } else { Ok(*instance) });
        assert_eq!(answer.unwrap(), 2);
        let second = plugin.call(|_| Err::<(), _>(asks_again()));
        assert!(matches!(second, Err(PluginError::RetryBatch { .. })));
        assert_eq!(opened.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn no_other_failure_is_tried_again() {
        let (mut plugin, opened) = renewable();
        let spent = PluginError::Spent { call: asks_again().call().clone() };
        let mut failure = Some(spent);
        let outcome = plugin.call(|_| Err::<(), _>(failure.take().unwrap()));
        assert!(matches!(outcome, Err(PluginError::Spent { .. })));
        assert_eq!(opened.load(Ordering::SeqCst), 1);
    }
}
