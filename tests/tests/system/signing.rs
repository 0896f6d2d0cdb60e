//! Keys, signatures, and a job that trusts some of them, by the program's own commands. That a job runs what is signed,
//! and swaps, is tested inside the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use speed_layer_tests::components::variant;
use speed_layer_tests::host::{self, Finished};
use speed_layer_tests::job::LIMIT;
use speed_layer_tests::places::plugin;

fn run(words: &[&str]) -> Finished {
    host::run(words, LIMIT).expect("it answers")
}

/// Its exit code must be 1, and its words these.
fn check_refused(answer: &Finished, parts: &[&str]) {
    assert_eq!(answer.status.code(), Some(1), "{}", answer.told());
    parts.iter().for_each(|part| assert!(answer.stderr.contains(part), "no {part}: {}", answer.told()));
}

fn text(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn a_plugin_is_signed_verified_and_demanded_to_be_so_by_a_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| text(&folder.path().join(name));
    let (key, other, component) = (place("release.key"), place("other.key"), place("parser.wasm"));
    for key in [&key, &other] {
        let made = run(&["plugin", "keygen", "--key", key]);
        assert!(made.status.success() && made.stdout.starts_with("ed25519 "), "{}", made.told());
        assert_eq!(fs::metadata(key).expect("the key").permissions().mode() & 0o777, 0o600);
    }
    check_refused(&run(&["plugin", "keygen", "--key", &key]), &["release.key cannot be made"]);
    let whole = fs::read(plugin("ticker_json")).expect("the parser is built");
    fs::write(&component, &whole).expect("it is written");
    let (trust, not) = (format!("{key}.pub"), format!("{other}.pub"));
    let verify = |keys: &str| run(&["plugin", "verify", "--trust", keys, &component]);
    let job = || {
        let aggregate = text(&plugin("ohlcv"));
        let words =
            ["run", "--brokers", "127.0.0.1:1", "--topic", "t", "--parse", &component, "--trust", &trust];
        run(&[
            &words[..],
            &["--aggregate", &aggregate, "--output", &place("out/daily"), "--checkpoint", &place("c")],
        ]
        .concat())
    };
    check_refused(&verify(&trust), &["parser.wasm (sha256:", "it has no signature"]);
    check_refused(&job(), &["parser.wasm (sha256:", "is not trusted: it has no signature"]);
    let signed = run(&["plugin", "sign", "--key", &key, &component]);
    assert!(signed.status.success() && signed.stdout.contains("signed by ed25519 "), "{}", signed.told());
    assert_eq!(fs::read(format!("{component}.sig")).expect("the signature").len(), 64);
    assert!(verify(&trust).status.success(), "{}", verify(&trust).told());
    check_refused(&verify(&not), &["not one of these bytes by a trusted key"]);
    // The parser is trusted now; the aggregate is not.
    check_refused(&job(), &["ohlcv.wasm (sha256:", "it has no signature"]);
    fs::write(&component, variant(&whole, "changed")).expect("it is written");
    check_refused(&verify(&trust), &["not one of these bytes"]);
    check_refused(&job(), &["parser.wasm (sha256:", "not one of these bytes"]);
    assert!(!folder.path().join("out").exists() && !folder.path().join("c").exists());
}
