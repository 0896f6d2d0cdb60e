//! The files of the repository that people write.

use std::fs;
use std::path::{Path, PathBuf};

use speed_layer_tests::places::root;

/// A file's path from the root, with slashes, and its text.
pub struct File {
    pub path: String,
    pub text: String,
}

/// All Rust sources, of all workspaces.
pub fn rust() -> Vec<File> {
    with_extensions(&["rs"])
}

/// Everything that is read by people: sources, documents, settings, scripts.
pub fn texts() -> Vec<File> {
    let mut texts = with_extensions(&["rs", "md", "toml", "wit", "yml", "py", "sh"]);
    texts.extend(
        [".ci/run", "Dockerfile"]
            .map(|path| File { path: path.into(), text: fs::read_to_string(root().join(path)).expect(path) }),
    );
    texts
}

fn with_extensions(extensions: &[&str]) -> Vec<File> {
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    paths.retain(|path| {
        let extension = path.extension().unwrap_or_default();
        extensions.iter().any(|wanted| extension == *wanted)
    });
    paths.sort();
    paths.into_iter().map(|path| read(&path)).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && name != ".git" {
            walk(&path, paths);
        } else if path.is_file() {
            paths.push(path);
        }
    }
}

fn read(path: &Path) -> File {
    let short = path.strip_prefix(root()).expect("a path under the root");
    File {
        path: short.to_string_lossy().replace('\\', "/"),
        text: fs::read_to_string(path).expect("a text file"),
    }
}

/// Fails with every complaint on a line of its own.
pub fn assert_none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_walk_finds_this_file() {
    assert!(rust().iter().any(|file| file.path == "tests/tests/tidy/files.rs"));
    assert!(rust().iter().any(|file| file.path.starts_with("plugins/")));
    assert!(!rust().iter().any(|file| file.path.starts_with("target/")));
}
