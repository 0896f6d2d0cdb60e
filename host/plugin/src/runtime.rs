//! The process's one plugin runtime: the engine, its limits, the cache of compiled
//! plugins, and whoever decides which components may be loaded. Makes plugins of files;
//! runs none of them itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::Cache;
use crate::surface::{CONTRACT_VERSION, Surface};
use crate::{Admission, CacheError, Compiler, Digest, Limits, LoadError, Plugin, PluginId, engine, load};

/// How a runtime is made.
#[derive(Debug, Clone, Default)]
pub struct RuntimeOptions {
    /// Where compiled plugins are kept for the next start; `None` compiles every time.
    pub cache_dir: Option<PathBuf>,
    pub limits: Limits,
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("the WebAssembly engine does not start on this machine ({detail}); see the supported platforms")]
    Engine { detail: String },
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Loads plugins. A process needs one; plugins outlive it.
pub struct Runtime {
    engine: Engine,
    cache: Option<Cache>,
    limits: Limits,
    admission: Option<Arc<dyn Admission>>,
    compiler: Option<Compiler>,
}

impl Runtime {
    /// Starts the engine and its ticker thread, and opens the cache.
    pub fn new(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let RuntimeOptions { cache_dir, limits } = options;
        let engine =
            engine::start(&limits).map_err(|error| RuntimeError::Engine { detail: format!("{error:#}") })?;
        let cache = cache_dir.map(|dir| Cache::open(&dir, &engine)).transpose()?;
        Ok(Self { engine, cache, limits, admission: None, compiler: None })
    }

    /// Loads only what `admission` admits from now on.
    pub fn admitting(self, admission: Arc<dyn Admission>) -> Self {
        Self { admission: Some(admission), ..self }
    }

    /// Has components compiled by another process from now on, under limits; without one it
    /// is done in this process and takes what it takes.
    pub fn compiling_apart(self, compiler: Compiler) -> Self {
        Self { compiler: Some(compiler), ..self }
    }

    /// Loads the component in a file. Its name is the file's without the extension; its
    /// signature is the file beside it with `.sig` at the end of its name, if there is one.
    pub fn load(&self, path: &Path) -> Result<Plugin, LoadError> {
        let bytes = load::read_file(path, &self.limits)?;
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        let signature = load::read_signature(path)?;
        let (name, file) = (stem.to_string_lossy().into_owned(), path.display().to_string());
        self.load_named(name, file, &bytes, signature.as_deref())
    }

    /// Loads a component from memory, without a signature.
    pub fn load_bytes(&self, name: &str, bytes: &[u8]) -> Result<Plugin, LoadError> {
        self.load_signed(name, bytes, None)
    }

    /// Loads a component from memory, with its signature if it has one.
    pub fn load_signed(
        &self,
        name: &str,
        bytes: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<Plugin, LoadError> {
        self.load_named(name.to_owned(), name.to_owned(), bytes, signature)
    }

    /// The limits that its plugins run under.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is admitted, compiled and named by the digest are the same bytes.
    fn load_named(
        &self,
        name: String,
        file: String,
        bytes: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<Plugin, LoadError> {
        let found = bytes.len() as u64;
        if found > self.limits.component_bytes_max {
            return Err(LoadError::TooLarge { file, found, max: self.limits.component_bytes_max });
        }
        let digest = Digest::of(bytes);
        if let Some(admission) = &self.admission {
            let untrusted = |why| LoadError::Untrusted { file: file.clone(), digest, why };
            admission.admit(bytes, signature).map_err(untrusted)?;
        }
        let outside = |error| load::name_file(&file, error);
        let surface = Surface::read(bytes).map_err(outside)?;
        surface.check_imports().map_err(outside)?;
        let stage = surface.stage().map_err(outside)?;
        let component = self.compile(&file, digest, bytes)?;
        let entry = load::link(&self.engine, &component, stage).map_err(|error| LoadError::Shape {
            file: file.clone(),
            stage,
            ours: CONTRACT_VERSION,
            detail: format!("{error:#}"),
        })?;
        Ok(Plugin::new(crate::plugin::Loaded {
            id: Arc::new(PluginId { name, digest }),
            file,
            imports: surface.imports,
            component: bytes.into(),
            signature: signature.map(Into::into),
            limits: self.limits.clone(),
            entry,
            usage: Arc::default(),
        }))
    }
}

impl Runtime {
    /// From the cache, or else from the compiler.
    fn compile(&self, file: &str, digest: Digest, bytes: &[u8]) -> Result<Component, LoadError> {
        let cache = self.cache.as_ref();
        if let Some(component) = cache.and_then(|cache| load::revive(&self.engine, cache, &digest)) {
            return Ok(component);
        }
        let compiled = match &self.compiler {
            Some(compiler) => {
                let code = compiler.compile(file, digest, &self.limits, bytes)?;
                load::take_compiled(&self.engine, cache, &digest, code)
            }
            None => load::compile(&self.engine, cache, &digest, bytes),
        };
        compiled.map_err(|error| LoadError::Compile { file: file.to_owned(), detail: format!("{error:#}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], limits: Limits, expected: &str) {
        let runtime = Runtime::new(RuntimeOptions { cache_dir: None, limits }).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample.wasm");
        std::fs::write(&path, bytes).unwrap();
        let error = runtime.load(&path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    fn wat(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn a_file_that_does_not_load_is_refused_in_a_sentence_that_names_it() {
        let usual = Limits::default;
        check(b"", usual(), "is not WebAssembly but an empty file");
        check(b"key: value\n", usual(), "is not WebAssembly but text");
        check(&wat("(component)")[..7], usual(), "is cut short or damaged");
        check(&wat("(module)"), usual(), "`host plugin pack");
        check(&wat("(component)"), usual(), "exports nothing and none of");
        check(b"0123456789", Limits { component_bytes_max: 9, ..usual() }, "has 10 bytes, more than the 9");
        let wasi = "(component (import \"wasi:sockets/tcp@0.2.0\" (instance)))";
        check(&wat(wasi), usual(), "imports wasi:sockets/tcp@0.2.0");
        let newer = "(component (instance $i) (export \"speed-layer:plugin/parse@9.0.0\" (instance $i)))";
        check(&wat(newer), usual(), "version 9.0.0 of the plugin contract and this host has version 0.1.0");
        let hollow = "(component (instance $i) (export \"speed-layer:plugin/parse@0.1.0\" (instance $i)))";
        check(&wat(hollow), usual(), "exports the parse stage in another shape");
    }

    #[test]
    fn a_module_inside_that_is_not_valid_does_not_compile() {
        let body = "(component (core module (func (result i32))) \
                    (instance $i) (export \"speed-layer:plugin/parse@0.1.0\" (instance $i)))";
        check(&wat(body), Limits::default(), "does not compile");
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_apart() {
        let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(runtime.load(&dir.path().join("no.wasm")), Err(LoadError::Missing { .. })));
        assert!(matches!(runtime.load(dir.path()), Err(LoadError::Unreadable { .. })));
    }
}
