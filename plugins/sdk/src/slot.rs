//! Where an opened plugin waits between two calls of its instance.
//!
//! A component's exports are plain functions, so what `open` made has to be kept beside
//! them. An instance serves one thread: no lock.

use std::cell::RefCell;

use crate::types::{Failure, Refusal};

/// Room for one opened plugin.
#[derive(Debug)]
pub struct Slot<T>(RefCell<Option<T>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot::new()
    }
}

impl<T> Slot<T> {
    /// Empty.
    pub const fn new() -> Self {
        Slot(RefCell::new(None))
    }

    /// Keeps what opening gave.
    ///
    /// # Errors
    /// The refusal that it gave instead.
    pub fn open(&self, opened: Result<T, Refusal>) -> Result<(), Refusal> {
        self.0.replace(Some(opened?));
        Ok(())
    }

    /// Calls the opened plugin.
    ///
    /// # Errors
    /// The call's own, and a failure that stops the job when nothing was opened.
    pub fn call<R>(&self, call: impl FnOnce(&mut T) -> Result<R, Failure>) -> Result<R, Failure> {
        match self.0.borrow_mut().as_mut() {
            Some(opened) => call(opened),
            None => Err(Failure::StopJob("the plugin was called before `open`".into())),
        }
    }
}
