//! `host plugin keygen`, `sign` and `verify`: keys, and signatures of components beside them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use speed_layer_plugin::{Digest, read_signature, signature_path};

use crate::trust::{SecretKey, Trust};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  host plugin keygen --key release.key        # writes release.key and release.key.pub")]
pub struct KeygenArgs {
    /// Where the secret key goes; the public one goes beside it, with .pub at its end
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  host plugin sign --key release.key ohlcv.wasm        # writes ohlcv.wasm.sig")]
pub struct SignArgs {
    /// The secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The components, each signed in a file beside it
    #[arg(required = true, value_name = "PLUGIN.wasm")]
    plugins: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  host plugin verify --trust release.key.pub ohlcv.wasm ticker_json.wasm")]
pub struct VerifyArgs {
    /// A file of public keys; repeat it for several
    #[arg(long, required = true, value_name = "KEYFILE")]
    trust: Vec<PathBuf>,
    /// The components, each with its signature beside it
    #[arg(required = true, value_name = "PLUGIN.wasm")]
    plugins: Vec<PathBuf>,
}

pub fn keygen(args: &KeygenArgs) -> anyhow::Result<()> {
    let key = SecretKey::generate()?;
    key.write_new(&args.key)?;
    let mut public = args.key.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    fs::write(&public, format!("{}\n", key.public()))
        .with_context(|| format!("the public key {} cannot be written", public.display()))?;
    say(&format!("{}\n", key.public()))
}

pub fn sign(args: &SignArgs) -> anyhow::Result<()> {
    let key = SecretKey::read(&args.key)?;
    args.plugins.iter().try_for_each(|path| {
        let (component, signature) = (read(path)?, signature_path(path));
        // Written whole or not at all, so that a running job never sees a part.
        let unfinished = signature.with_extension("sig.new");
        fs::write(&unfinished, key.sign(&component))
            .and_then(|()| fs::rename(&unfinished, &signature))
            .with_context(|| format!("the signature {} cannot be written", signature.display()))?;
        say(&format!("{} ({}) signed by {}\n", path.display(), Digest::of(&component), key.public()))
    })
}

pub fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let trust = Trust::read(&args.trust)?;
    args.plugins.iter().try_for_each(|path| {
        let (component, signature) = (read(path)?, read_signature(path)?);
        let (file, digest) = (path.display(), Digest::of(&component));
        let key = trust
            .signer(&component, signature.as_deref())
            .map_err(|why| anyhow!("{file} ({digest}) is not trusted: {why}"))?;
        say(&format!("{file} ({digest}) is signed by {key}\n"))
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
