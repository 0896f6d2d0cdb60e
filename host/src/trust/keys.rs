//! Keys in files: a line of text each, `ed25519` and 64 hexadecimal digits; a secret one says so in its first word.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use super::checked;

const PUBLIC: &str = "ed25519";
const SECRET: &str = "ed25519-secret";
/// Whoever else may read a secret key.
const OTHERS: u32 = 0o077;

/// A key that signatures are verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A key that signs. Not shown by anything but [`Self::to_text`].
pub struct SecretKey(SigningKey);

impl PublicKey {
    pub(super) fn verifying(&self) -> &VerifyingKey {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC} {}", to_hex(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = anyhow::Error;

    /// Words after the digits are whatever their owner likes.
    fn from_str(line: &str) -> anyhow::Result<Self> {
        let bytes = match words(line) {
            (Some(PUBLIC), digits) => bytes(digits)?,
            (Some(SECRET), _) => {
                bail!("this is a secret key; the file beside it that ends with .pub has the public one")
            }
            _ => bail!("a key is `{PUBLIC}` and 64 hexadecimal digits"),
        };
        checked(&bytes).map(Self).context("this is no point that a key can be")
    }
}

impl SecretKey {
    /// A new key, by the system's own randomness.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn generate() -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        let mut source = File::open("/dev/urandom").context("/dev/urandom cannot be opened")?;
        source.read_exact(&mut seed).context("/dev/urandom cannot be read")?;
        Ok(Self::from_seed(seed))
    }

    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads a key's file.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or it is no secret key. The key is in no error.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let unreadable = || format!("the secret key {} cannot be read", path.display());
        let mut file = File::open(path).with_context(unreadable)?;
        let mode = file.metadata().with_context(unreadable)?.mode();
        ensure!(
            mode & OTHERS == 0,
            "the secret key {} can be read by others; `chmod 600` it, or better make another one",
            path.display()
        );
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(unreadable)?;
        match words(text.trim()) {
            (Some(SECRET), digits) => Ok(Self::from_seed(bytes(digits)?)),
            _ => bail!("{} is no secret key; `host plugin keygen` makes one", path.display()),
        }
    }

    /// Writes the key to a new file that only its owner can read.
    ///
    /// # Errors
    /// There is such a file, or it cannot be written.
    pub fn write_new(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("the secret key {} cannot be made", path.display()))?;
        let written = file.write_all(self.to_text().as_bytes()).and_then(|()| file.sync_all());
        written.with_context(|| format!("the secret key {} cannot be written", path.display()))
    }

    /// As its file has it.
    pub fn to_text(&self) -> String {
        format!("{SECRET} {}\n", to_hex(self.0.as_bytes()))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature of these bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

fn words(line: &str) -> (Option<&str>, Option<&str>) {
    let mut words = line.split_whitespace();
    (words.next(), words.next())
}

fn bytes(digits: Option<&str>) -> anyhow::Result<[u8; 32]> {
    let bytes = digits.and_then(|digits| from_hex(digits).ok());
    bytes.and_then(|bytes| bytes.try_into().ok()).context("a key has 64 hexadecimal digits")
}

/// Two hexadecimal digits a byte.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// See [`to_hex`].
///
/// # Errors
/// There is something else among the digits, or one too few.
pub fn from_hex(digits: &str) -> anyhow::Result<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let digits: Option<Vec<u8>> = digits.as_bytes().iter().map(digit).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0).context("these are no hexadecimal digits")?;
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_comes_back_from_its_file_and_two_are_never_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = SecretKey::generate().unwrap();
        key.write_new(&path).unwrap();
        assert_eq!(SecretKey::read(&path).unwrap().public(), key.public());
        assert_eq!(key.public().to_string().parse::<PublicKey>().unwrap(), key.public());
        assert_ne!(SecretKey::generate().unwrap().public(), key.public());
        assert!(key.write_new(&path).is_err(), "a key is never written over another");
    }

    #[test]
    fn a_secret_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        SecretKey::from_seed([7; 32]).write_new(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = SecretKey::read(&path).err().unwrap().to_string();
        assert!(error.contains("can be read by others") && !error.contains("0707"), "{error}");
    }

    /// The first vector of RFC 8032, section 7.1.
    #[test]
    fn signatures_are_those_that_others_make() {
        let seed = bytes(Some("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")).unwrap();
        let key = SecretKey::from_seed(seed);
        let public = "ed25519 d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(key.public().to_string(), public);
        assert!(
            to_hex(&key.sign(b""))
                .starts_with("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
        );
    }
}
