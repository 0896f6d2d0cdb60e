//! Whom a job trusts: with keys named, a component is loaded only with an ed25519 signature by one of them over its
//! very bytes. Says nothing of what a trusted plugin may do: the limits are the same for all.

mod keys;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use ed25519_dalek::{Signature, VerifyingKey};
use speed_layer_plugin::Admission;

pub use keys::{PublicKey, SecretKey, from_hex, to_hex};

/// The keys whose signatures count.
#[derive(Debug)]
pub struct Trust {
    keys: Vec<PublicKey>,
}

impl Trust {
    /// The keys of these files.
    ///
    /// # Errors
    /// A file cannot be read, has a line that is no key, or no key at all.
    pub fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let keys = files.iter().map(|file| keys_of(file)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { keys: keys.concat() })
    }

    /// The key that signed a component.
    ///
    /// # Errors
    /// Why there is none, a part of a sentence.
    pub fn signer(&self, component: &[u8], signature: Option<&[u8]>) -> Result<&PublicKey, String> {
        let signature = signature.ok_or("it has no signature")?;
        let found = signature.len();
        let signature = Signature::from_slice(signature)
            .map_err(|_| format!("its signature has {found} bytes in place of {}", Signature::BYTE_SIZE))?;
        let is_signer = |key: &&PublicKey| key.verifying().verify_strict(component, &signature).is_ok();
        self.keys.iter().find(is_signer).ok_or_else(|| {
            let names = self.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("its signature is not one of these bytes by a trusted key: {names}")
        })
    }
}

impl Admission for Trust {
    fn admit(&self, component: &[u8], signature: Option<&[u8]>) -> Result<(), String> {
        self.signer(component, signature).map(drop)
    }
}

/// What a job with these key files admits; `None` where none are named: then everything.
///
/// # Errors
/// As [`Trust::read`].
pub fn admission(files: &[PathBuf]) -> anyhow::Result<Option<Arc<dyn Admission>>> {
    if files.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Trust::read(files)?)))
}

fn keys_of(file: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the trusted keys in {} cannot be read", file.display()))?;
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys = lines
        .map(|(number, line)| line.parse().with_context(|| format!("{} line {number}", file.display())))
        .collect::<anyhow::Result<Vec<PublicKey>>>()?;
    ensure!(!keys.is_empty(), "there is no key in {}; `host plugin keygen` makes one", file.display());
    Ok(keys)
}

/// A key that is no secret cannot be weak: every signature would fit such a one.
fn checked(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"the bytes of a component";

    fn trust(text: &str) -> anyhow::Result<Trust> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.pub");
        std::fs::write(&file, text).unwrap();
        Trust::read(&[file])
    }

    fn check(signature: Option<&[u8]>, expected: &str) {
        let (ours, theirs) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
        let trust = trust(&format!("# ours\n\n{}\n{} theirs\n", ours.public(), theirs.public())).unwrap();
        match trust.signer(COMPONENT, signature) {
            Ok(key) => assert_eq!(key.to_string(), expected),
            Err(why) => assert!(why.contains(expected), "{why}"),
        }
    }

    #[test]
    fn a_signature_counts_by_any_of_the_keys_and_over_these_bytes_alone() {
        for seed in [[1; 32], [2; 32]] {
            let key = SecretKey::from_seed(seed);
            check(Some(&key.sign(COMPONENT)), &key.public().to_string());
        }
        check(None, "it has no signature");
        check(Some(&[0; 63]), "63 bytes in place of 64");
        check(Some(&[0; 64]), "not one of these bytes by a trusted key");
        check(
            Some(&SecretKey::from_seed([3; 32]).sign(COMPONENT)),
            "not one of these bytes by a trusted key",
        );
        check(Some(&SecretKey::from_seed([1; 32]).sign(b"other bytes")), "not one of these bytes");
        let whole = SecretKey::from_seed([1; 32]).sign(COMPONENT);
        for at in 0..whole.len() {
            let mut broken = whole;
            broken[at] ^= 1 << (at % 8);
            check(Some(&broken), "not one of these bytes");
        }
    }

    #[test]
    fn a_file_of_keys_that_has_none_or_something_else_is_refused_with_its_line() {
        let key = SecretKey::from_seed([1; 32]).public();
        for (text, expected) in [
            (String::new(), "there is no key in"),
            ("# nothing\n".to_owned(), "there is no key in"),
            (format!("{key}\nssh-rsa AAAA\n"), "line 2"),
            ("ed25519 abc\n".to_owned(), "64 hexadecimal digits"),
            (format!("ed25519 {}\n", "0".repeat(64)), "is no point that a key can be"),
            (format!("ed25519 01{}\n", "0".repeat(62)), "is no point that a key can be"),
            (SecretKey::from_seed([1; 32]).to_text(), "is a secret key"),
        ] {
            let error = format!("{:#}", trust(&text).unwrap_err());
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains(&"01".repeat(32)), "{error}");
        }
    }
}
