//! What a component says of itself on its outside: the names of its imports and
//! exports. Read from the bytes alone, so that a component of another contract, or one
//! that wants what it may not have, is refused before it costs a compilation. Does not
//! validate the inside; compiling does.

use wasmparser::{Encoding, Parser, Payload};

use crate::Stage;

/// The version of the contract in `wit/` that this host has.
pub const CONTRACT_VERSION: &str = "0.1.0";

const PACKAGE: &str = "speed-layer:plugin/";
/// The interfaces of the contract that a component may import.
const IMPORTS_ALLOWED: [&str; 2] = ["host", "types"];

/// The names on the outside of a component, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surface {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// What is wrong with a component's outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SurfaceError {
    NotWasm(&'static str),
    Damaged(String),
    CoreModule,
    ForbiddenImport(String),
    ContractVersion(String),
    NoStage(String),
    SeveralStages(Stage, Stage),
}

impl Surface {
    /// Reads every section, so a file that was cut short is found here.
    pub fn read(bytes: &[u8]) -> Result<Self, SurfaceError> {
        expect_component(bytes)?;
        let mut surface = Self { imports: Vec::new(), exports: Vec::new() };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(damaged)? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        surface.imports.push(import.map_err(damaged)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        surface.exports.push(export.map_err(damaged)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }

    /// Refuses an import that is not the contract's, by its name.
    pub fn check_imports(&self) -> Result<(), SurfaceError> {
        for import in &self.imports {
            match split_contract_name(import) {
                Some((interface, version)) if IMPORTS_ALLOWED.contains(&interface) => {
                    check_version(version)?;
                }
                _ => return Err(SurfaceError::ForbiddenImport(import.clone())),
            }
        }
        Ok(())
    }

    /// The one stage that the component exports.
    pub fn stage(&self) -> Result<Stage, SurfaceError> {
        let mut found = None;
        for (stage, version) in self.exports.iter().filter_map(|export| exported_stage(export)) {
            check_version(version)?;
            if let Some(first) = found.replace(stage) {
                return Err(SurfaceError::SeveralStages(first, stage));
            }
        }
        found.ok_or_else(|| SurfaceError::NoStage(list(&self.exports)))
    }
}

fn exported_stage(export: &str) -> Option<(Stage, &str)> {
    let (interface, version) = split_contract_name(export)?;
    let stage = Stage::ALL.into_iter().find(|stage| stage.name() == interface)?;
    Some((stage, version))
}

/// `speed-layer:plugin/parse@0.1.0` gives `parse` and `0.1.0`.
fn split_contract_name(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "none")))
}

fn check_version(found: &str) -> Result<(), SurfaceError> {
    if found == CONTRACT_VERSION { Ok(()) } else { Err(SurfaceError::ContractVersion(found.to_owned())) }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn expect_component(bytes: &[u8]) -> Result<(), SurfaceError> {
    if bytes.is_empty() {
        return Err(SurfaceError::NotWasm("an empty file"));
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(SurfaceError::NotWasm(describe_other(bytes)));
    }
    match Parser::new(0).parse_all(bytes).next() {
        Some(Ok(Payload::Version { encoding: Encoding::Component, .. })) => Ok(()),
        Some(Ok(_)) => Err(SurfaceError::CoreModule),
        Some(Err(error)) => Err(damaged(error)),
        None => Err(SurfaceError::Damaged("it ends within its header".to_owned())),
    }
}

fn describe_other(bytes: &[u8]) -> &'static str {
    const START: usize = 1 << 10;
    let start = &bytes[..bytes.len().min(START)];
    if start.starts_with(b"\x7fELF") {
        "a native or precompiled object"
    } else if start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        "text"
    } else {
        "some other binary"
    }
}

fn damaged(error: wasmparser::BinaryReaderError) -> SurfaceError {
    SurfaceError::Damaged(format!("{} at byte {}", error.message(), error.offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(body: &str) -> Vec<u8> {
        wat::parse_str(format!("(component {body})")).unwrap()
    }

    fn check(bytes: &[u8], expected: Result<Stage, SurfaceError>) {
        let found = Surface::read(bytes).and_then(|surface| {
            surface.check_imports()?;
            surface.stage()
        });
        assert_eq!(found, expected);
    }

    fn exporting(name: &str) -> String {
        format!("(instance) (export \"{name}\" (instance 0))")
    }

    #[test]
    fn a_file_that_is_no_component_is_refused_for_what_it_is() {
        let not = |what| Err(SurfaceError::NotWasm(what));
        check(b"", not("an empty file"));
        check(b"#!/bin/sh\necho hello\n", not("text"));
        check(b"(component)", not("text"));
        check(b"\x7fELF\x02\x01\x01\0", not("a native or precompiled object"));
        check(b"\x80\x81\x82", not("some other binary"));
        check(&wat::parse_str("(module)").unwrap(), Err(SurfaceError::CoreModule));
    }

    #[test]
    fn a_component_cut_short_anywhere_is_refused() {
        let whole = component(&exporting("speed-layer:plugin/parse@0.1.0"));
        check(&whole, Ok(Stage::Parse));
        for length in 4..whole.len() {
            let result = Surface::read(&whole[..length]).and_then(|surface| surface.stage());
            assert!(result.is_err(), "cut at {length} of {}", whole.len());
        }
    }

    #[test]
    fn the_stage_is_read_from_the_exports_name() {
        for stage in Stage::ALL {
            let name = format!("speed-layer:plugin/{stage}@0.1.0");
            check(&component(&exporting(&name)), Ok(stage));
        }
    }

    #[test]
    fn a_component_without_a_stage_of_ours_is_refused_with_what_it_exports() {
        check(&component(""), Err(SurfaceError::NoStage("nothing".to_owned())));
        let other = "wasi:cli/run@0.2.0";
        check(&component(&exporting(other)), Err(SurfaceError::NoStage(other.to_owned())));
    }

    #[test]
    fn a_component_of_another_contract_version_is_refused_by_that_version() {
        let export = exporting("speed-layer:plugin/transform@0.2.0");
        check(&component(&export), Err(SurfaceError::ContractVersion("0.2.0".to_owned())));
        let import = "(import \"speed-layer:plugin/host@0.3.0\" (instance))";
        check(&component(import), Err(SurfaceError::ContractVersion("0.3.0".to_owned())));
    }

    #[test]
    fn an_import_that_is_not_the_contracts_is_named() {
        for import in ["wasi:sockets/tcp@0.2.0", "speed-layer:plugin/clock@0.1.0", "plain-name"] {
            let body = format!("(import \"{import}\" (instance))");
            check(&component(&body), Err(SurfaceError::ForbiddenImport(import.to_owned())));
        }
    }

    #[test]
    fn imports_inside_a_nested_component_are_not_the_plugins() {
        let nested = "(component (import \"wasi:sockets/tcp@0.2.0\" (instance)))";
        let body = format!("{nested} {}", exporting("speed-layer:plugin/parse@0.1.0"));
        check(&component(&body), Ok(Stage::Parse));
    }

    #[test]
    fn a_component_of_two_stages_is_refused() {
        let body = "(instance $i) (export \"speed-layer:plugin/parse@0.1.0\" (instance $i)) \
                    (export \"speed-layer:plugin/aggregate@0.1.0\" (instance $i))";
        check(&component(body), Err(SurfaceError::SeveralStages(Stage::Parse, Stage::Aggregate)));
    }
}
