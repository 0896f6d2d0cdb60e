//! The only place where bytes become code that the processor runs. Takes nothing but what
//! the cache has verified and what a compiler of this program's has just made.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::Verified;

/// Makes a component of code that this host compiled before.
///
/// Fails when another version or other settings of the engine made the code; the
/// engine's own header says so.
pub(crate) fn revive(engine: &Engine, code: &Verified) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` trusts its bytes to be what `Component::serialize` or
    // `Engine::precompile_component` gave. A `Verified` is made of what the compiler wrote,
    // which is this very program in another process, through a pipe that nobody else has; or
    // by the cache, from a file in a directory that belongs to
    // this user and that no other can write, and only when the whole artefact has the
    // SHA-256 that was written with it; so it is what this host serialized, unless
    // somebody with this user's own rights forged both, who could as well replace the
    // host. No path or bytes from configuration or from a plugin's author get here.
    unsafe { Component::deserialize(engine, code.bytes()) }
}
