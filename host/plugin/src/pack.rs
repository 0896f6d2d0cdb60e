//! Makes a component of a core module that a guest toolchain built with the contract's
//! bindings. Adds nothing to the module and takes no adapter, so one that wants WASI
//! stays what it is.

use wit_component::ComponentEncoder;

use crate::surface::{Surface, SurfaceError};

/// Why a core module does not become a component.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("this is a component already; it can be loaded as it is")]
    AlreadyComponent,
    #[error(
        "this is not WebAssembly but {found}; give the .wasm that `cargo build --target wasm32-unknown-unknown` left"
    )]
    NotWasm { found: &'static str },
    #[error("the module is cut short or damaged ({detail}); build it again")]
    Damaged { detail: String },
    #[error(
        "the module carries no description of the plugin contract; build it as a `cdylib` with the plugin \
         SDK's export macro"
    )]
    NoContract,
    #[error(
        "the module does not fit the contract that it carries ({detail}); build it again with the SDK of this host's version"
    )]
    Encode { detail: String },
}

/// The component around `core_module`, validated.
pub fn pack(core_module: &[u8]) -> Result<Vec<u8>, PackError> {
    match Surface::read(core_module) {
        Ok(_) => return Err(PackError::AlreadyComponent),
        Err(SurfaceError::NotWasm(found)) => return Err(PackError::NotWasm { found }),
        Err(SurfaceError::Damaged(detail)) => return Err(PackError::Damaged { detail }),
        Err(_) => {}
    }
    let component = encode(core_module)?;
    match Surface::read(&component).and_then(|surface| surface.stage()) {
        Err(SurfaceError::NoStage(_)) => Err(PackError::NoContract),
        _ => Ok(component),
    }
}

fn encode(core_module: &[u8]) -> Result<Vec<u8>, PackError> {
    let detail = |error| PackError::Encode { detail: format!("{error:#}").replace('\n', " ") };
    ComponentEncoder::default().validate(true).module(core_module).map_err(detail)?.encode().map_err(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let error = pack(bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn what_cannot_be_packed_is_refused_in_a_sentence() {
        let module = wat::parse_str("(module)").unwrap();
        check(&module, "carries no description of the plugin contract");
        check(&module[..6], "cut short or damaged");
        check(b"fn main() {}", "not WebAssembly but text");
        check(&wat::parse_str("(component)").unwrap(), "a component already");
        let wants = "(module (import \"env\" \"clock\" (func)))";
        check(&wat::parse_str(wants).unwrap(), "does not fit the contract");
    }
}
