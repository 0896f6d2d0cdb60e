//! A server's key and certificate for 127.0.0.1, made on the spot by the JDK's own tool.

use std::path::Path;
use std::process::Command;

/// The file with the key pair (PKCS 12) in the folder, and the password of it.
pub const KEYS: &str = "server.p12";
/// See [`KEYS`].
pub const PASSWORD: &str = "of-the-store";
/// The file with the certificate that those must trust who are to trust the server.
pub const AUTHORITY: &str = "authority.pem";

/// A key pair that signs itself; `validity` in words of `keytool`.
///
/// # Panics
/// There is no `keytool`, or it refuses.
pub fn make(folder: &Path, validity: &[&str]) {
    let keytool = |words: &[&str]| {
        let mut command = Command::new("keytool");
        command.args(words).args(["-alias", "server", "-storepass", PASSWORD]);
        command.args(["-keystore", KEYS]).current_dir(folder);
        let output = command.output().expect("keytool comes with java");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    let names = ["-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-storetype", "PKCS12"];
    keytool(&[&["-genkeypair", "-keyalg", "RSA"], &names[..], validity].concat());
    keytool(&["-exportcert", "-rfc", "-file", AUTHORITY]);
}
