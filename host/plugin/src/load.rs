//! From bytes to a plugin that can be opened. The cheap refusals come first: the file,
//! its outside, and only then the compiler. Runs nothing of the component.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use crate::bindings::EveryStage;
use crate::bindings::exports::speed_layer::plugin::{aggregate, parse, transform};
use crate::cache::{Cache, Verified};
use crate::guest_host::GuestHost;
use crate::plugin::Entry;
use crate::surface::{CONTRACT_VERSION, SurfaceError};
use crate::{Digest, Limits, LoadError, Stage, machine_code};

/// The bytes of a plugin file, if they are not too many.
pub(crate) fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, LoadError> {
    let file = path.display().to_string();
    let max = limits.component_bytes_max;
    let opened = File::open(path).map_err(|error| unreadable(&file, error))?;
    let found = opened.metadata().map_err(|error| unreadable(&file, error))?.len();
    if found > max {
        return Err(LoadError::TooLarge { file, found, max });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found).unwrap_or(0));
    // One byte more than allowed, for a file that grows while it is read.
    opened.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| unreadable(&file, error))?;
    Ok(bytes)
}

/// Longer than any signature.
const SIGNATURE_BYTES_MAX: u64 = 1 << 10;

/// The bytes of the signature beside a plugin file; `None` if there is none.
pub fn read_signature(component: &Path) -> Result<Option<Vec<u8>>, LoadError> {
    let path = signature_path(component);
    let file = path.display().to_string();
    let opened = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| unreadable(&file, error))?,
    };
    let mut bytes = Vec::new();
    opened.take(SIGNATURE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| unreadable(&file, error))?;
    Ok(Some(bytes))
}

/// Where the signature of a plugin file is: `a.wasm.sig` beside `a.wasm`.
pub fn signature_path(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

fn unreadable(file: &str, source: io::Error) -> LoadError {
    let file = file.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => LoadError::Missing { file },
        _ => LoadError::Unreadable { file, source },
    }
}

/// Code is compiled in this process.
pub(crate) fn compile(
    engine: &Engine,
    cache: Option<&Cache>,
    digest: &Digest,
    bytes: &[u8],
) -> wasmtime::Result<Component> {
    let component = Component::from_binary(engine, bytes)?;
    if let Some(cache) = cache {
        cache.write(digest, &component.serialize()?);
    }
    Ok(component)
}

/// Code that another process compiled.
pub(crate) fn take_compiled(
    engine: &Engine,
    cache: Option<&Cache>,
    digest: &Digest,
    code: Vec<u8>,
) -> wasmtime::Result<Component> {
    let code = Verified::just_compiled(code);
    let component = machine_code::revive(engine, &code)?;
    if let Some(cache) = cache {
        cache.write(digest, code.bytes());
    }
    Ok(component)
}

/// Code from the cache, if it is there and of use.
pub(crate) fn revive(engine: &Engine, cache: &Cache, digest: &Digest) -> Option<Component> {
    let code = cache.read(digest)?;
    machine_code::revive(engine, &code).inspect_err(|error| cache.forget(digest, &error.to_string())).ok()
}

/// Links the host's import and finds the stage's functions.
pub(crate) fn link(engine: &Engine, component: &Component, stage: Stage) -> wasmtime::Result<Entry> {
    let mut linker = Linker::<GuestHost>::new(engine);
    EveryStage::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    let pre: InstancePre<GuestHost> = linker.instantiate_pre(component)?;
    Ok(match stage {
        Stage::Parse => Entry::Parse(parse::GuestIndices::new(&pre)?, pre),
        Stage::Transform => Entry::Transform(transform::GuestIndices::new(&pre)?, pre),
        Stage::Aggregate => Entry::Aggregate(aggregate::GuestIndices::new(&pre)?, pre),
    })
}

/// Puts the file's name to what is wrong with its outside.
pub(crate) fn name_file(file: &str, error: SurfaceError) -> LoadError {
    let file = file.to_owned();
    match error {
        SurfaceError::NotWasm(found) => LoadError::NotWasm { file, found },
        SurfaceError::Damaged(detail) => LoadError::Damaged { file, detail },
        SurfaceError::CoreModule => LoadError::CoreModule { file },
        SurfaceError::ForbiddenImport(import) => LoadError::ForbiddenImport { file, import },
        SurfaceError::ContractVersion(found) => {
            LoadError::ContractVersion { file, found, ours: CONTRACT_VERSION }
        }
        SurfaceError::NoStage(exports) => LoadError::NoStage { file, exports },
        SurfaceError::SeveralStages(first, second) => LoadError::SeveralStages { file, first, second },
    }
}
