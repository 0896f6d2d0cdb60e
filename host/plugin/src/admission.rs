//! Whoever decides which components are loaded. What a signature is, and whose counts, is
//! not known here.

use std::fmt::Debug;

/// Decides before anything is made of a component.
pub trait Admission: Debug + Send + Sync {
    /// # Errors
    /// Why the component is not loaded, a part of a sentence.
    fn admit(&self, component: &[u8], signature: Option<&[u8]>) -> Result<(), String>;
}
