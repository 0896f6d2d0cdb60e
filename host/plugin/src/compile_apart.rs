//! Compiling in a process of its own, whose time and memory the system limits: a component
//! that is made to keep the compiler busy costs its process and nothing else. Both ends are
//! here; what the program is called and how it is started is its own business.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use wasmtime::Engine;

use crate::printable::printable;
use crate::{Digest, Limits, LoadError, engine};

/// How much of what the compiler says is kept.
const SAID_BYTES_MAX: usize = 4 << 10;
/// What Rust says before it aborts for want of memory.
const OUT_OF_MEMORY: &str = "memory allocation of ";

/// The program that compiles: it calls [`compile_for_parent`].
#[derive(Debug, Clone)]
pub struct Compiler {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Compiler {
    /// The code of a component.
    pub(crate) fn compile(
        &self,
        file: &str,
        digest: Digest,
        limits: &Limits,
        component: &[u8],
    ) -> Result<Vec<u8>, LoadError> {
        let file = file.to_owned();
        let gone = |detail: String| LoadError::CompilerGone { file: file.clone(), digest, detail };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| gone(error.to_string()))?;
        if let Some(mut input) = child.stdin.take() {
            // A child that does not hear all of it has ended, and says why.
            let _ = input.write_all(component);
        }
        let output = child.wait_with_output().map_err(|error| gone(error.to_string()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        match Ending::of(output.status, &said) {
            Ending::Done => Ok(output.stdout),
            Ending::Refused => Err(LoadError::Compile {
                file,
                detail: printable(said.trim().trim_start_matches("error: "), SAID_BYTES_MAX),
            }),
            Ending::OutOfTime => {
                Err(LoadError::CompileTime { file, digest, seconds: limits.compile_seconds_max })
            }
            Ending::OutOfMemory => {
                Err(LoadError::CompileMemory { file, digest, bytes: limits.compile_memory_max })
            }
            Ending::Other(detail) => Err(gone(detail)),
        }
    }
}

/// How a compiler ended.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Done,
    /// It says what is wrong with the component.
    Refused,
    OutOfTime,
    OutOfMemory,
    Other(String),
}

impl Ending {
    fn of(status: ExitStatus, said: &str) -> Self {
        let signal = |signal: Signal| status.signal() == Some(signal.as_raw());
        match status.code() {
            Some(0) => Self::Done,
            Some(1) => Self::Refused,
            // The second one where the first is held back.
            _ if signal(Signal::XCPU) || signal(Signal::KILL) => Self::OutOfTime,
            _ if signal(Signal::ABORT) && said.contains(OUT_OF_MEMORY) => Self::OutOfMemory,
            _ => Self::Other(printable(&format!("{status}: {}", said.trim()), SAID_BYTES_MAX)),
        }
    }
}

/// The other end: reads a component from `input`, and writes its code to `output`. The
/// process has no more than the time and memory of `limits` from here on, and is ended by the
/// system beyond them.
///
/// # Errors
/// What is wrong with the component, in a sentence.
pub fn compile_for_parent(
    limits: &Limits,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), String> {
    let sentence = |error: io::Error| error.to_string();
    limit(Resource::Core, 0).map_err(sentence)?;
    limit(Resource::Cpu, limits.compile_seconds_max).map_err(sentence)?;
    limit(Resource::As, limits.compile_memory_max).map_err(sentence)?;
    let mut component = Vec::new();
    let most = limits.component_bytes_max.saturating_add(1);
    input.take(most).read_to_end(&mut component).map_err(sentence)?;
    let flat = |error: wasmtime::Error| format!("{error:#}").replace('\n', " ");
    let engine = Engine::new(&engine::config(limits)).map_err(flat)?;
    let code = engine.precompile_component(&component).map_err(flat)?;
    output.write_all(&code).and_then(|()| output.flush()).map_err(sentence)
}

/// Never more than there was.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_told_by_its_signal_and_by_what_was_said() {
        let of = |raw, said| Ending::of(ExitStatus::from_raw(raw), said);
        assert_eq!(of(0, ""), Ending::Done);
        assert_eq!(of(1 << 8, "bad"), Ending::Refused);
        for signal in [Signal::XCPU, Signal::KILL] {
            assert_eq!(of(signal.as_raw(), ""), Ending::OutOfTime);
        }
        assert_eq!(of(Signal::ABORT.as_raw(), "memory allocation of 8 bytes failed"), Ending::OutOfMemory);
        for (raw, said) in [(Signal::ABORT.as_raw(), "a bug"), (Signal::SEGV.as_raw(), ""), (2 << 8, "usage")]
        {
            assert!(matches!(of(raw, said), Ending::Other(_)));
        }
    }
}
