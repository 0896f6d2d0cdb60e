//! A guest of any stage in WebAssembly text.

use std::path::PathBuf;

use speed_layer_plugin::{Stage, pack};
use wit_component::StringEncoding;
use wit_parser::Resolve;

use crate::abi::{BASE, Memory};
use crate::answer::Answer;
use crate::calls::{Call, functions};

/// What one of its functions does in the place of a good answer.
pub enum Does {
    /// The body in WebAssembly text; `$good` in it is the place of the good answer.
    Body(String),
    /// Returns this.
    Answers(Box<Answer>),
    /// Returns these words, whatever they mean; the first says whether all went well.
    Returns(Vec<u32>),
}

impl Does {
    pub fn body(text: &str) -> Self {
        Self::Body(text.to_owned())
    }
}

/// The component of a stage in which `call` does something else; `extra` are more fields of its module.
pub fn component(stage: Stage, does: Option<(Call, &Does)>, extra: &str) -> Vec<u8> {
    let mut memory = Memory::default();
    let mut bodies = String::new();
    for (function, params) in functions(stage) {
        let call = Call { stage, function };
        let other = does.and_then(|(at, does)| (at == call).then_some(does));
        let body = body(call, other, &mut memory);
        let name = format!("speed-layer:plugin/{stage}@0.1.0#{function}");
        bodies += &format!("(func (export \"{name}\") (param {params}) (result i32) {body})\n");
    }
    // What the host gives goes to 65536, one thing over the other: nobody reads it.
    let module = format!(
        r#"(module
            (import "speed-layer:plugin/host@0.1.0" "log" (func $log (param i32 i32 i32)))
            (memory (export "memory") 2)
            (data (i32.const {BASE}) "{}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
            {bodies}
            {extra})"#,
        memory.text()
    );
    pack(&with_contract(stage, wat::parse_str(module).unwrap())).unwrap()
}

fn body(call: Call, does: Option<&Does>, memory: &mut Memory) -> String {
    let good = Answer::to(call).place(call, memory);
    match does {
        None => format!("(i32.const {good})"),
        Some(Does::Body(text)) => text.replace("$good", &good.to_string()),
        Some(Does::Answers(answer)) => format!("(i32.const {})", answer.place(call, memory)),
        Some(Does::Returns(words)) => format!("(i32.const {})", memory.words(words)),
    }
}

/// Adds what a guest toolchain's bindings add: which world the module is of.
fn with_contract(stage: Stage, mut module: Vec<u8>) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let wit = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (package, _) = resolve.push_path(wit).unwrap();
    let world = resolve.select_world(&[package], Some(&format!("{stage}-plugin"))).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}
