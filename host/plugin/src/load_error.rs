//! Why a file does not load as a plugin: one sentence each, with the file and what to do.

use std::io;

use crate::{Digest, Stage};

/// Why a file is no plugin that this host can run. Nothing of it has been run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("there is no plugin file {file}; check the path, or build it with `cargo xtask build`")]
    Missing { file: String },
    #[error("the plugin file {file} cannot be read ({source}); check its path and permissions")]
    Unreadable { file: String, source: io::Error },
    #[error(
        "the plugin file {file} has {found} bytes, more than the {max} allowed; build it in release mode and \
         strip it, or raise component_bytes_max"
    )]
    TooLarge { file: String, found: u64, max: u64 },
    #[error(
        "{file} ({digest}) is not trusted: {why}; have it signed with a key that is trusted, `host plugin sign`, or \
         trust its signer's key with --trust"
    )]
    Untrusted { file: String, digest: Digest, why: String },
    #[error(
        "{file} is not WebAssembly but {found}; give a component that `cargo xtask build` or `host plugin pack` made"
    )]
    NotWasm { file: String, found: &'static str },
    #[error("{file} begins as WebAssembly but is cut short or damaged ({detail}); build or copy it again")]
    Damaged { file: String, detail: String },
    #[error(
        "{file} is a core WebAssembly module and not a component; make it one with `host plugin pack {file} \
         -o OUT.wasm`"
    )]
    CoreModule { file: String },
    #[error(
        "{file} imports {import}, which no plugin may have; build it for wasm32-unknown-unknown with no \
         imports but speed-layer:plugin/host"
    )]
    ForbiddenImport { file: String, import: String },
    #[error(
        "{file} is written to version {found} of the plugin contract and this host has version {ours}; build \
         it against {ours}, or run it with the host of its version"
    )]
    ContractVersion { file: String, found: String, ours: &'static str },
    #[error(
        "{file} exports {exports} and none of speed-layer:plugin's parse, transform and aggregate; build it \
         with the plugin SDK's export macro"
    )]
    NoStage { file: String, exports: String },
    #[error("{file} exports both {first} and {second}; a plugin is of one stage, so build two components")]
    SeveralStages { file: String, first: Stage, second: Stage },
    #[error(
        "{file} is a plugin of the {found} stage and is used for {expected}; name it with --{found} or give a {expected} plugin"
    )]
    WrongStage { file: String, found: Stage, expected: Stage },
    #[error(
        "{file} does not compile ({detail}); build it again with a current toolchain and no features beyond WebAssembly 2"
    )]
    Compile { file: String, detail: String },
    #[error(
        "{file} ({digest}) took more than {seconds} s of CPU time to compile; make it smaller, or raise \
         compile_seconds_max"
    )]
    CompileTime { file: String, digest: Digest, seconds: u64 },
    #[error(
        "{file} ({digest}) took more than {bytes} bytes of memory to compile; make it smaller, or raise \
         compile_memory_max"
    )]
    CompileMemory { file: String, digest: Digest, bytes: u64 },
    #[error(
        "the process that compiles {file} ({digest}) has ended without an answer ({detail}); try again, and report \
         it if it ends again"
    )]
    CompilerGone { file: String, digest: Digest, detail: String },
    #[error(
        "{file} exports the {stage} stage in another shape than version {ours} of the contract has \
         ({detail}); build it against the WIT of this host"
    )]
    Shape { file: String, stage: Stage, ours: &'static str, detail: String },
}
