//! The runtime with real components: hostile ones made here of WebAssembly text, and the
//! repository's own plugins.

mod hostile;
mod line;
mod migration;
mod naughty;
mod plugins;
mod support;
