//! What a traced program asked of the file system, read from strace's own text (`strace -f -y`).
//!
//! Threads run at once, so a call has a beginning and an end: strace writes a line for each where another
//! thread's line lies in between. Calls that have nothing to do with files and names are left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub pid: u32,
    /// As strace writes it: `linkat`.
    pub name: String,
    pub act: Act,
    /// False also for one that never returned.
    pub ok: bool,
    /// The lines that it begins and ends in; one that never returned ends after all others.
    pub began: usize,
    pub ended: usize,
    /// strace made it fail.
    pub injected: bool,
}

/// What a call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// `writes`: for writing, or to be made.
    Open {
        path: PathBuf,
        writes: bool,
    },
    /// Of a file's content, its length too.
    Write(PathBuf),
    /// Of a file's content or a directory's names.
    Sync(PathBuf),
    /// Of the whole file system that the path is on.
    SyncFileSystem(PathBuf),
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    MakeDir(PathBuf),
    Remove(PathBuf),
    /// Also an exchange of two names, and a symbolic link.
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// To stdout (1) or stderr (2), with quotes as `\"`.
    Say {
        stream: u32,
        text: String,
    },
}

impl Act {
    /// The path that the call changes or makes durable; `None` for words said.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Open { path, .. }
            | Self::Write(path)
            | Self::Sync(path)
            | Self::SyncFileSystem(path)
            | Self::MakeDir(path)
            | Self::Remove(path)
            | Self::Link { to: path, .. }
            | Self::Rename { to: path, .. } => Some(path),
            Self::Say { .. } => None,
        }
    }
}

/// The system calls that are told of, for `strace -e trace=`; `?` where a machine may not have one.
pub const CALLS: &str = "?open,openat,?openat2,?creat,write,?pwrite64,?writev,?pwritev,?pwritev2,\
    ?copy_file_range,?sendfile,ftruncate,?truncate,?fallocate,fsync,fdatasync,?sync,syncfs,?link,linkat,\
    ?symlink,symlinkat,?rename,?renameat,renameat2,?mkdir,mkdirat,?unlink,unlinkat,?rmdir";

/// Reads the text of one trace, or of several that follow each other.
///
/// # Errors
/// A line that should be a call is none.
pub fn parse(text: &str) -> Result<Vec<Call>> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: BTreeMap<u32, (usize, &str)> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let told = line.split_once(' ').and_then(|(pid, told)| Some((pid.parse().ok()?, told.trim_start())));
        let (pid, told): (u32, &str) = told.with_context(|| format!("no line of a trace: {line}"))?;
        if let Some(begun) = told.strip_suffix(" <unfinished ...>") {
            open.insert(pid, (at, begun));
        } else if let Some((_, rest)) =
            told.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let (began, begun) = open.remove(&pid).with_context(|| format!("nothing to resume: {line}"))?;
            calls.extend(call(pid, &format!("{begun}{rest}"), began, at));
        } else if !told.starts_with("+++") && !told.starts_with("---") {
            calls.extend(call(pid, told, at, at));
        }
    }
    calls.extend(open.into_iter().filter_map(|(pid, (at, begun))| call(pid, begun, at, usize::MAX)));
    calls.sort_by_key(|call| call.began);
    Ok(calls)
}

fn call(pid: u32, told: &str, began: usize, ended: usize) -> Option<Call> {
    let (name, rest) = told.split_once('(')?;
    let result = rest.rsplit_once(" = ").map_or("", |(_, result)| result);
    let ok = result.starts_with(|first: char| first.is_ascii_digit());
    let injected = result.ends_with("(INJECTED)");
    Some(Call { pid, name: name.into(), act: act(name, rest)?, ok, began, ended, injected })
}

fn act(name: &str, rest: &str) -> Option<Act> {
    let quoted = quoted(rest);
    let named = |index: usize| quoted.get(index).map(PathBuf::from);
    Some(match name {
        "open" | "openat" | "openat2" | "creat" => {
            let flags = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"];
            let writes = name == "creat" || flags.iter().any(|flag| rest.contains(flag));
            Act::Open { path: named(0)?, writes }
        }
        "write" | "writev" if matches!(descriptor(rest)?, 1 | 2) => {
            Act::Say { stream: descriptor(rest)?, text: quoted.concat() }
        }
        "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "ftruncate" | "fallocate" => {
            Act::Write(described(rest)?)
        }
        "sendfile" => Act::Write(described(rest)?),
        // Its second descriptor is the one that is written to.
        "copy_file_range" => Act::Write(described(rest.split_once('>')?.1)?),
        "truncate" => Act::Write(named(0)?),
        "fsync" | "fdatasync" => Act::Sync(described(rest)?),
        "syncfs" => Act::SyncFileSystem(described(rest)?),
        "sync" => Act::SyncFileSystem(PathBuf::from("/")),
        "link" | "linkat" => Act::Link { from: named(0)?, to: named(1)? },
        "rename" | "renameat" | "renameat2" | "symlink" | "symlinkat" => {
            Act::Rename { from: named(0)?, to: named(1)? }
        }
        "mkdir" | "mkdirat" => Act::MakeDir(named(0)?),
        "unlink" | "unlinkat" | "rmdir" => Act::Remove(named(0)?),
        _ => return None,
    })
}

/// The number of the first argument: `5</a/file>`.
fn descriptor(rest: &str) -> Option<u32> {
    rest.split(['<', ',', ')']).next()?.parse().ok()
}

/// What the first descriptor is open on.
fn described(rest: &str) -> Option<PathBuf> {
    Some(rest.split_once('<')?.1.split_once('>')?.0.into())
}

/// The texts in quotes, escapes left as they are.
fn quoted(rest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside: Option<String> = None;
    let mut escaped = false;
    for c in rest.chars() {
        match &mut inside {
            None if c == '"' => inside = Some(String::new()),
            None => {}
            Some(_) if c == '"' && !escaped => found.extend(inside.take()),
            Some(text) => text.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, name: &str, ok: bool, act: Act) {
        let calls = parse(line).expect(line);
        let found: Vec<_> =
            calls.iter().map(|call| (call.name.as_str(), call.ok, call.act.clone())).collect();
        assert_eq!(found, [(name, ok, act)], "{line}");
    }

    #[test]
    fn each_kind_of_call_is_understood() {
        let open = |path: &str, writes| Act::Open { path: path.into(), writes };
        check(
            r#"7 openat(AT_FDCWD</w>, "/a/b", O_RDONLY|O_CLOEXEC) = 3</a/b>"#,
            "openat",
            true,
            open("/a/b", false),
        );
        check(
            r#"7 openat(AT_FDCWD</w>, "/a", O_WRONLY|O_CREAT, 0666) = -1 ENOSPC (No space left on device) (INJECTED)"#,
            "openat",
            false,
            open("/a", true),
        );
        check(
            r#"7 write(16</a/b>, "pid = \"1\" <x>\n"..., 24) = 24"#,
            "write",
            true,
            Act::Write("/a/b".into()),
        );
        check(
            r#"7 write(2<pipe:[9]>, "it is \"done\"", 12) = 12"#,
            "write",
            true,
            Act::Say { stream: 2, text: r#"it is \"done\""#.into() },
        );
        check("7 ftruncate(5</a/lock>, 0)   = 0", "ftruncate", true, Act::Write("/a/lock".into()));
        check(
            "7 copy_file_range(5</a>, NULL, 6</b>, NULL, 9, 0) = 9",
            "copy_file_range",
            true,
            Act::Write("/b".into()),
        );
        check("7 fsync(5</a/dir>)            = 0", "fsync", true, Act::Sync("/a/dir".into()));
        check("7 fsync(5</a>) = -1 EIO (Input/output error)", "fsync", false, Act::Sync("/a".into()));
        check("7 syncfs(5</a>)                = 0", "syncfs", true, Act::SyncFileSystem("/a".into()));
        let link = Act::Link { from: "/s/x".into(), to: "/o/x".into() };
        check(r#"7 linkat(AT_FDCWD</w>, "/s/x", AT_FDCWD</w>, "/o/x", 0) = ?"#, "linkat", false, link);
        check(r#"7 mkdir("/o/symbol=A", 0777)   = 0"#, "mkdir", true, Act::MakeDir("/o/symbol=A".into()));
        check(r#"7 unlinkat(AT_FDCWD</w>, "/s/x", 0) = 0"#, "unlinkat", true, Act::Remove("/s/x".into()));
        let rename = Act::Rename { from: "/a".into(), to: "/b".into() };
        check(
            r#"7 renameat2(AT_FDCWD</w>, "/a", AT_FDCWD</w>, "/b", RENAME_NOREPLACE) = 0"#,
            "renameat2",
            true,
            rename,
        );
    }

    #[test]
    fn a_call_that_another_thread_interrupts_is_one_with_two_ends() {
        let text = "7 fsync(5</a> <unfinished ...>\n8 fsync(6</b>) = 0\n8 +++ exited with 0 +++\n7 <... fsync resumed>)  = 0\n9 fsync(4</c> <unfinished ...>";
        let calls = parse(text).expect("a trace");
        let ends: Vec<_> = calls.iter().map(|call| (call.pid, call.began, call.ended, call.ok)).collect();
        assert_eq!(ends, [(7, 0, 3, true), (8, 1, 1, true), (9, 4, usize::MAX, false)]);
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        assert!(parse("strace: Process 12 attached").is_err());
        assert!(parse("7 <... fsync resumed>) = 0").is_err());
        assert_eq!(parse("7 --- SIGCHLD {} ---\n7 +++ killed by SIGKILL +++").expect("signals"), []);
    }
}
