//! A compiler with the standard library for `wasm32-unknown-unknown`.
//!
//! The ordinary way is rustup's component for the pinned toolchain. Where rustup cannot fetch it, a
//! compiler is put together from Debian's packages (`debian.rs`). Whichever is there already is used
//! without asking anybody.

mod debian;
mod rustup;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Which ways may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    Any,
    RustupOnly,
    FallbackOnly,
}

impl Preference {
    /// The flag wins over `SPEED_LAYER_WASM`.
    ///
    /// # Errors
    /// The variable holds a word that is not known.
    pub fn of(force_fallback: bool) -> Result<Self> {
        let variable = env::var("SPEED_LAYER_WASM").unwrap_or_default();
        Self::from_words(force_fallback, &variable)
    }

    fn from_words(force_fallback: bool, variable: &str) -> Result<Self> {
        match (force_fallback, variable) {
            (true, _) | (false, "fallback") => Ok(Self::FallbackOnly),
            (false, "rustup") => Ok(Self::RustupOnly),
            (false, "") => Ok(Self::Any),
            (false, other) => bail!("SPEED_LAYER_WASM is `{other}`; it can be `rustup` or `fallback`"),
        }
    }
}

/// A compiler that can build guests.
pub struct Toolchain {
    /// The folder of a `rustc` to use in place of the pinned one.
    bin: Option<PathBuf>,
}

impl Toolchain {
    /// Makes a cargo command compile with this toolchain.
    pub fn apply(&self, command: &mut Command) {
        if let Some(bin) = &self.bin {
            command.env("RUSTC", bin.join("rustc"));
        }
    }

    /// The folder that has to come first on PATH for tools that look for `rustc` themselves.
    pub fn bin(&self) -> Option<&Path> {
        self.bin.as_deref()
    }
}

/// Finds or makes a toolchain.
///
/// # Errors
/// No permitted way works; the message has the reason of each.
pub fn ensure(preference: Preference) -> Result<Toolchain> {
    match preference {
        Preference::RustupOnly => pinned(),
        Preference::FallbackOnly => fallback(),
        Preference::Any if rustup::is_ready()? => Ok(Toolchain { bin: None }),
        Preference::Any if debian::is_ready()? => fallback(),
        Preference::Any => either(),
    }
}

fn pinned() -> Result<Toolchain> {
    if !rustup::is_ready()? {
        process::step("adding the wasm32 standard library with rustup", rustup::add)?;
    }
    Ok(Toolchain { bin: None })
}

fn fallback() -> Result<Toolchain> {
    if !debian::is_ready()? {
        process::step("making a compiler for wasm32 from Debian's packages", debian::make)?;
    }
    Ok(Toolchain { bin: Some(debian::bin()?) })
}

fn either() -> Result<Toolchain> {
    let Err(ordinary) = pinned().map_err(|error| format!("{error:#}")) else {
        return Ok(Toolchain { bin: None });
    };
    eprintln!("    {ordinary}");
    fallback().map_err(|error| {
        error.context(format!(
            "no standard library for wasm32-unknown-unknown: {ordinary}; install it with \
             `rustup target add wasm32-unknown-unknown` where rustup's server can be reached, or see why \
             the way over Debian's packages failed"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(force_fallback: bool, variable: &str, expected: Option<Preference>) {
        let preference = Preference::from_words(force_fallback, variable).ok();
        assert_eq!(preference, expected, "{force_fallback} {variable}");
    }

    #[test]
    fn the_flag_and_the_variable_force_a_way() {
        check(false, "", Some(Preference::Any));
        check(false, "rustup", Some(Preference::RustupOnly));
        check(false, "fallback", Some(Preference::FallbackOnly));
        check(true, "", Some(Preference::FallbackOnly));
        check(true, "rustup", Some(Preference::FallbackOnly));
        check(false, "somehow", None);
    }

    #[test]
    fn a_fallback_toolchain_replaces_the_compiler_and_the_pinned_one_does_not() {
        let compiler = |bin: Option<PathBuf>| {
            let mut command = Command::new("cargo");
            Toolchain { bin }.apply(&mut command);
            command.get_envs().filter_map(|(_, value)| value.map(PathBuf::from)).next()
        };
        assert_eq!(compiler(None), None);
        assert_eq!(compiler(Some("/t/bin".into())), Some(PathBuf::from("/t/bin/rustc")));
    }
}
