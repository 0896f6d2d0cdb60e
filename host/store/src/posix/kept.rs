//! Components kept by their digest beside the checkpoints that name them, each with the
//! signature that it came with, so that a job can go on with the plugins that it ran with,
//! whatever has become of their files.

use std::io::ErrorKind;
use std::path::PathBuf;

use speed_layer_core::commit::Digest;

use super::CheckpointDir;
use super::checkpoints::{sync_dir, unlink};
use crate::error::StoreError;
use crate::layer::FileLayer;
use crate::part::digest_of_bytes;

const KEPT_DIR: &str = "plugins";
const KEPT_SUFFIX: &str = ".wasm";
const SIGNATURE_SUFFIX: &str = ".wasm.sig";

impl<L: FileLayer> CheckpointDir<L> {
    /// Keeps a component, durably when this returns; one that is there already is enough.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn keep_component(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let digest = digest_of_bytes(bytes);
        match self.kept_component(digest) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            Err(StoreError::KeptDamaged { path }) => unlink(&self.layer, &path)?,
            Err(cause) => return Err(cause),
        }
        let kept = self.kept_dir();
        match self.layer.make_dir(&kept.dir) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(StoreError::io("make directory", &kept.dir))?,
        }
        sync_dir(&self.layer, &self.dir)?;
        kept.seal(&kept_name(digest), bytes).map(drop)
    }

    /// The component of this digest; `None` if it is not kept.
    ///
    /// # Errors
    /// [`StoreError::KeptDamaged`] if its bytes are others; else the disk failed.
    pub fn kept_component(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let (kept, name) = (self.kept_dir(), kept_name(digest));
        match kept.read(&name)? {
            Some(bytes) if digest_of_bytes(&bytes) != digest => {
                Err(StoreError::KeptDamaged { path: kept.dir.join(name) })
            }
            read => Ok(read),
        }
    }

    /// Keeps the signature of a component that is kept, in the place of one that was.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn keep_signature(&self, component: Digest, signature: &[u8]) -> Result<(), StoreError> {
        let (kept, name) = (self.kept_dir(), signature_name(component));
        match kept.read(&name)? {
            Some(bytes) if bytes == signature => return Ok(()),
            Some(_) => unlink(&self.layer, &kept.dir.join(&name))?,
            None => {}
        }
        kept.seal(&name, signature).map(drop)
    }

    /// The signature that a component was kept with; whether it is one is for the caller to find out.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn kept_signature(&self, component: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.kept_dir().read(&signature_name(component))
    }

    /// Removes what is none of the components `needed`, for the owner that begins.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn forget_components(&self, needed: &[Digest]) -> Result<(), StoreError> {
        let kept = self.kept_dir();
        let entries = match self.layer.list(&kept.dir) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(StoreError::io("list", &kept.dir))?,
        };
        let names = |digest: &Digest| [kept_name(*digest), signature_name(*digest)];
        let needed: Vec<String> = needed.iter().flat_map(names).collect();
        let names = entries.into_iter().filter_map(|entry| entry.name);
        let mut old = names.filter(|name| !needed.contains(name));
        old.try_for_each(|name| unlink(&self.layer, &kept.dir.join(name)))
    }

    fn kept_dir(&self) -> Self {
        Self { dir: self.dir.join(KEPT_DIR), ..self.clone() }
    }

    /// Where a component of this digest is kept.
    pub fn kept_path(&self, digest: Digest) -> PathBuf {
        self.dir.join(KEPT_DIR).join(kept_name(digest))
    }
}

fn kept_name(digest: Digest) -> String {
    format!("{digest}{KEPT_SUFFIX}")
}

fn signature_name(component: Digest) -> String {
    format!("{component}{SIGNATURE_SUFFIX}")
}
