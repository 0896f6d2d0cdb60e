//! Guests: crates built for wasm32 and packed into components by the product's own `host plugin pack`.
//!
//! A guest is a folder of a guest workspace whose manifest asks for a `cdylib`; so a new plugin needs no
//! change here. Cargo decides what to rebuild; a component is packed again when its core module changed
//! or the packer is newer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::process;
use crate::wasm::Toolchain;
use crate::workspace::{WASM_TARGET, cargo, host, root, target};

/// A workspace of guests and where its components go.
pub struct Guests {
    pub workspace: PathBuf,
    build: PathBuf,
    components: PathBuf,
}

/// The guest workspaces of this repository.
pub fn all() -> Vec<Guests> {
    let built_in = |workspace: &str, build: &str, components: &str| Guests {
        workspace: root().join(workspace),
        build: target().join(build),
        components: target().join(components),
    };
    [built_in("plugins", "guests", "plugins"), built_in("tests/guests", "test-guests", "test-plugins")]
        .into_iter()
        .filter(|guests| guests.workspace.join("Cargo.toml").is_file())
        .collect()
}

impl Guests {
    /// Builds the core modules and packs those that changed.
    pub fn build(&self, toolchain: &Toolchain) -> Result<()> {
        let mut build = self.cargo("build");
        build.args(["--release", "--target", WASM_TARGET]);
        toolchain.apply(&mut build);
        process::run(&mut build)?;
        fs::create_dir_all(&self.components)
            .with_context(|| format!("cannot make {}", self.components.display()))?;
        self.folders()?.iter().try_for_each(|folder| self.pack(folder))
    }

    /// A cargo command over the whole workspace, with the build directory it shares with the others.
    pub fn cargo(&self, verb: &str) -> Command {
        let mut command = cargo(&self.workspace);
        command.arg(verb).args(["--workspace", "--target-dir"]).arg(&self.build);
        command
    }

    /// The workspace's path from the root, for messages.
    pub fn name(&self) -> String {
        self.workspace.strip_prefix(root()).unwrap_or(&self.workspace).display().to_string()
    }

    /// The folders of the guests themselves: not of libraries that they share.
    pub fn folders(&self) -> Result<Vec<PathBuf>> {
        let entries = self.workspace.read_dir().with_context(|| format!("cannot read {}", self.name()))?;
        let mut folders = Vec::new();
        for entry in entries {
            let folder = entry?.path();
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
            if manifest.contains("\"cdylib\"") {
                folders.push(folder);
            }
        }
        folders.sort();
        Ok(folders)
    }

    /// A copy of what was packed last tells whether the module changed: its age does not, since cargo brings
    /// back an old file when the compiler is changed and changed back.
    fn pack(&self, folder: &Path) -> Result<()> {
        let file = module_file(folder);
        let module = fs::read(self.build.join(WASM_TARGET).join("release").join(&file))
            .with_context(|| format!("the build left no {file}; is the package named as its folder?"))?;
        let (component, packed) = (self.components.join(&file), self.build.join("packed").join(&file));
        let same = fs::read(&packed).is_ok_and(|last| last == module);
        if same && modified(&component)? > modified(&host())? {
            return Ok(());
        }
        fs::create_dir_all(self.build.join("packed"))?;
        fs::write(&packed, &module).with_context(|| format!("cannot write {}", packed.display()))?;
        let mut pack = Command::new(host());
        process::run(pack.args(["plugin", "pack"]).arg(&packed).arg("-o").arg(&component)).inspect_err(|_| {
            // Otherwise the next build would take the failed packing for done.
            let _ = fs::remove_file(&packed);
        })
    }
}

/// Cargo names a module after its package, which is named after its folder.
fn module_file(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("{}.wasm", name.replace('-', "_"))
}

/// None, which is older than everything, for a file that does not exist.
fn modified(file: &Path) -> Result<Option<SystemTime>> {
    match fs::metadata(file) {
        Ok(metadata) => Ok(Some(metadata.modified()?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_after_its_folder() {
        assert_eq!(module_file(Path::new("plugins/ticker-json")), "ticker_json.wasm");
    }

    #[test]
    fn a_missing_file_is_older_than_any_other() -> Result<()> {
        assert!(modified(Path::new("/no/such/file"))? < modified(root())?);
        Ok(())
    }
}
