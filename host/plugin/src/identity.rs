//! Who is meant by an error or a log line: the plugin, and the call it was in.

use std::fmt;

use crate::{Callback, Digest, Stage};

/// A plugin's name and the digest of its component. Shown as
/// `ohlcv (sha256:1a2b3c4d5e6f)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PluginId {
    /// The component file's name without its extension.
    pub name: String,
    pub digest: Digest,
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (sha256:{})", self.name, self.digest.short())
    }
}

/// One call of one plugin. Shown as `plugin ohlcv (sha256:1a2b3c4d5e6f), aggregate.update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSite {
    pub plugin: PluginId,
    pub stage: Stage,
    pub callback: Callback,
}

impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}, {}.{}", self.plugin, self.stage, self.callback)
    }
}
