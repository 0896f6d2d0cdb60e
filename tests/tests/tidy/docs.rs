//! What the documents say of flags, keys and files, held to the code and to the folder.
//!
//! Whether a sentence is true is not checked here: only that what it names exists, and that what exists
//! is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use speed_layer_tests::places::root;

use crate::files::{File, assert_none, texts};

const CONFIGURATION: &str = "docs/configuration.md";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// The long flags that a source declares with clap, such as `--on-data-loss`.
fn declared_flags(source: &str) -> BTreeSet<String> {
    let after_arg = source.split("#[arg(").skip(1).filter(|rest| rest.starts_with("long"));
    let field = |rest: &str| {
        let declaration = rest.lines().skip(1).map(str::trim).find(|line| line.contains(':'))?;
        Some(declaration.trim_start_matches("pub ").split(':').next()?.replace('_', "-"))
    };
    after_arg.filter_map(field).map(|name| format!("--{name}")).collect()
}

/// The flags that a document names.
fn named_flags(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '-';
    let flag = |rest: &str| rest.split(|letter| !is_part(letter)).next().unwrap_or_default().to_owned();
    let places = text.match_indices("`--").chain(text.match_indices(" --"));
    places.map(|(at, _)| flag(&text[at + 1..])).filter(|flag| flag.len() > 2).collect()
}

/// The keys of the pipeline file: the public fields of the structs that it is read into.
fn declared_keys(source: &str) -> BTreeSet<String> {
    let public = source.lines().filter_map(|line| line.strip_prefix("    pub "));
    let fields = public.filter(|line| !line.starts_with("fn "));
    let names = fields.filter_map(|line| line.split_once(": ")).map(|(name, _)| name.to_owned());
    names.map(|name| if name == "kind" { "type".to_owned() } else { name }).collect()
}

/// The names in a constant table of pairs.
fn first_of_pairs(source: &str, table: &str) -> Vec<String> {
    let begin = source.find(table).expect(table);
    let rows = source[begin..].lines().take_while(|line| *line != "];");
    let names = rows.filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next().map(str::to_owned));
    names.collect()
}

/// Targets of relative links, with the heading that they ask for.
fn links(text: &str) -> Vec<(String, Option<String>)> {
    let outside_code = text.split("```").step_by(2).collect::<String>();
    let targets = outside_code.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative =
        targets.filter(|target| !target.contains("://")).map(|target| match target.split_once('#') {
            Some((path, heading)) => (path.to_owned(), Some(heading.to_owned())),
            None => (target.to_owned(), None),
        });
    relative.collect()
}

/// A heading as links name it.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    let anchor =
        |line: &str| line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect();
    headings.map(|line| -> String { anchor(line) }).map(|anchor| anchor.replace(' ', "-")).collect()
}

fn link_complaints(file: &File) -> Vec<String> {
    let folder = root().join(&file.path).parent().map(Path::to_path_buf).unwrap_or_default();
    let is_broken = |(path, heading): &(String, Option<String>)| {
        let target = if path.is_empty() { root().join(&file.path) } else { folder.join(path) };
        let text = || fs::read_to_string(&target).unwrap_or_default();
        !target.exists() || heading.as_ref().is_some_and(|heading| !anchors(&text()).contains(heading))
    };
    let broken = links(&file.text).into_iter().filter(is_broken);
    broken
        .map(|(path, heading)| format!("{}: {path}#{} is not there", file.path, heading.unwrap_or_default()))
        .collect()
}

fn missing<'a>(
    names: impl IntoIterator<Item = &'a String>,
    from: &BTreeSet<String>,
    what: &str,
) -> Vec<String> {
    names.into_iter().filter(|name| !from.contains(*name)).map(|name| format!("{name} {what}")).collect()
}

fn unnamed(names: impl IntoIterator<Item = String>, text: &str) -> Vec<String> {
    let is_named =
        |name: &String| text.contains(&format!("`{name}`")) || text.contains(&format!("{name} = "));
    names
        .into_iter()
        .filter(|name| !is_named(name))
        .map(|name| format!("{name} is not in {CONFIGURATION}"))
        .collect()
}

#[test]
fn the_flags_of_a_run_are_those_that_are_documented() {
    let (run, all) = (read("host/src/config/flags.rs"), read("host/src/cli/mod.rs"));
    let declared: BTreeSet<String> = [run, all].iter().flat_map(|source| declared_flags(source)).collect();
    let named = named_flags(&read(CONFIGURATION));
    assert!(declared.len() > 15, "{declared:?}");
    assert_none(missing(&declared, &named, "is not documented"));
    assert_none(missing(&named, &declared, "is documented and no flag of `host run`"));
}

#[test]
fn the_keys_of_a_pipeline_file_and_the_fixed_properties_are_documented() {
    let text = read(CONFIGURATION);
    let files = ["host/src/config/file.rs", "host/src/config/limits.rs"];
    let keys: BTreeSet<String> = files.iter().flat_map(|path| declared_keys(&read(path))).collect();
    assert!(keys.len() > 20, "{keys:?}");
    let tables = ["source", "kafka", "time", "parse", "transform", "aggregate"];
    let headings: BTreeSet<String> = tables.map(String::from).into();
    assert_none(unnamed(keys.difference(&headings).cloned(), &text));
    let fixed = first_of_pairs(&read("host/kafka/src/config.rs"), "const FIXED:");
    assert!(fixed.len() > 10, "{fixed:?}");
    assert_none(unnamed(fixed, &text));
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let documents: Vec<File> = texts().into_iter().filter(|file| file.path.ends_with(".md")).collect();
    assert!(documents.len() > 5);
    assert_none(documents.iter().flat_map(link_complaints));
}

#[test]
fn a_wrong_flag_key_and_link_are_seen() {
    let source = "    /// Text\n    #[arg(long, value_name = \"N\")]\n    pub on_loss: Option<String>,\n    #[arg(value_name = \"F\")]\n    pub file: A,\n";
    assert_eq!(declared_flags(source), ["--on-loss".to_owned()].into());
    assert_eq!(
        named_flags("`--on-loss stop` or `host run --key x`, a -- b"),
        ["--key", "--on-loss"].map(String::from).into()
    );
    assert_eq!(declared_keys("pub struct A {\n    pub name: B,\n    c: D,\n}\n"), ["name".to_owned()].into());
    assert_eq!(first_of_pairs("const X: T = &[\n    (\"a.b\", WHY),\n];\n(\"c\", 1)", "const X:"), ["a.b"]);
    assert_eq!(unnamed(["kye".to_owned(), "key".to_owned()], "the `key` and `keys`").len(), 1);
    assert!(anchors("## The account, in short").contains("the-account-in-short"));
    let file = |text: &str| File { path: "docs/a.md".into(), text: text.into() };
    assert!(
        link_complaints(&file("[a](../README.md) [b](https://example.org/x) [c](semantics.md#clocks)"))
            .is_empty()
    );
    assert_eq!(link_complaints(&file("[a](nowhere.md) [b](semantics.md#no-such-part)")).len(), 2);
}
