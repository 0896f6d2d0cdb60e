//! A program that this system does not have, from Debian's packages into the cache, and a script there that starts it. Which
//! programs those are is said in their own files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian;
use crate::process::{stdout_of, step};
use crate::workspace::cache;

/// A program of Debian's packages, unpacked into the cache and started there by a script of ours.
pub struct Unpacked {
    /// As it is called in messages.
    pub title: &'static str,
    pub folder: &'static str,
    pub packages: &'static [&'static str],
    /// The script's name in the folder, and its text; it finds the libraries wherever the folder is.
    pub wrapper: &'static str,
    pub script: &'static str,
    /// The flag by which it tells its version.
    pub probe: &'static str,
}

impl Unpacked {
    /// Makes sure that it is installed, or works in the cache.
    ///
    /// # Errors
    /// It is not installed, which cannot be mended, and its packages cannot be had.
    pub fn ensure(&self, installed: Result<()>) -> Result<()> {
        let Err(not_installed) = installed else { return Ok(()) };
        let home = cache()?.join(self.folder);
        let is_ready = || Ok(self.works(&home));
        if is_ready()? {
            return Ok(());
        }
        let title = format!("unpacking {} from Debian's packages", self.title);
        step(&title, || debian::make_whole(&home, &is_ready, &|folder| self.fill(folder)))
            .with_context(|| format!("{not_installed:#}"))
    }

    fn fill(&self, folder: &Path) -> Result<()> {
        debian::unpack(self.packages, folder)?;
        let wrapper = folder.join(self.wrapper);
        fs::write(&wrapper, self.script).with_context(|| format!("cannot write {}", wrapper.display()))?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
        let started = stdout_of(Command::new(&wrapper).arg(self.probe));
        started.map(drop).context("what was unpacked does not start")
    }

    fn works(&self, home: &Path) -> bool {
        let wrapper = home.join(self.wrapper);
        wrapper.is_file() && stdout_of(Command::new(wrapper).arg(self.probe)).is_ok()
    }
}
