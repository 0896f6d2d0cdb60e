//! Guests for the tests: parsers written as WebAssembly text with one interesting
//! function, and the real plugins.

use std::path::PathBuf;

use speed_layer_plugin::{Context, Plugin, Runtime, RuntimeOptions, pack};
use wit_component::StringEncoding;
use wit_parser::Resolve;

/// Any context does for these guests.
pub const CONTEXT: Context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };

/// The functions of a parser in WebAssembly text. Address 1024 holds zeros, which read
/// as success in every result: no fields, nothing read, no rows.
pub struct Guest {
    /// Fields of the module beside the functions.
    pub extra: &'static str,
    pub describe: &'static str,
    pub open: &'static str,
    pub parse: &'static str,
}

impl Default for Guest {
    fn default() -> Self {
        let zeros = "(i32.const 1024)";
        Self { extra: "", describe: zeros, open: zeros, parse: zeros }
    }
}

impl Guest {
    /// The component around the functions.
    pub fn component(&self) -> Vec<u8> {
        let Self { extra, describe, open, parse } = self;
        let text = format!(
            r#"(module
                (import "speed-layer:plugin/host@0.1.0" "log" (func $log (param i32 i32 i32)))
                (memory (export "memory") 2)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
                (func (export "speed-layer:plugin/parse@0.1.0#describe") (param i32 i32) (result i32) {describe})
                (func (export "speed-layer:plugin/parse@0.1.0#open") (param i32 i32 i32 i32) (result i32) {open})
                (func (export "speed-layer:plugin/parse@0.1.0#parse") (param i32) (result i32) {parse})
                {extra})"#
        );
        pack(&with_contract(wat::parse_str(text).unwrap())).unwrap()
    }
}

/// Adds what a guest toolchain's bindings add: which world the module is of.
fn with_contract(mut module: Vec<u8>) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let wit = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (package, _) = resolve.push_path(wit).unwrap();
    let world = resolve.select_world(&[package], Some("parse-plugin")).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

/// One of the repository's own plugins.
pub fn built(name: &str) -> Plugin {
    let path = built_file("plugins", name);
    assert!(path.is_file(), "there is no {}: run `cargo xtask build` first", path.display());
    Runtime::new(RuntimeOptions::default()).unwrap().load(&path).unwrap()
}

/// Where the build leaves a component, of the product or of the tests alone.
pub fn built_file(folder: &str, name: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target");
    target.join(folder).join(name).with_extension("wasm")
}
