//! `[http]` of a pipeline file: where the job answers over HTTP, by which names, and where its token is. It does not look
//! whether that address can be had, and does not read the token.

use serde::Deserialize;

use super::ConfigError;

/// Where the token is looked for unless the file names another variable.
const TOKEN_ENV: &str = "SPEED_LAYER_HTTP_TOKEN";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileHttp {
    pub listen: Option<String>,
    pub allowed_hosts: Vec<String>,
    pub token_env: Option<String>,
}

/// How a job answers over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// `HOST:PORT`.
    pub listen: String,
    /// Names by which it may be asked besides addresses, `localhost` and the one in `listen`; without ports.
    pub allowed_hosts: Vec<String>,
    /// The environment variable that holds the token; it need not be set.
    pub token_env: String,
}

impl FileHttp {
    /// `None`: the job does not listen.
    ///
    /// # Errors
    /// The address, a name or the variable is none.
    pub fn finish(self) -> Result<Option<HttpSpec>, ConfigError> {
        let Self { listen, allowed_hosts, token_env } = self;
        let token_env = token_env.unwrap_or_else(|| TOKEN_ENV.to_owned());
        allowed_hosts.iter().try_for_each(|host| check_host(host))?;
        check_variable(&token_env)?;
        let Some(listen) = listen else { return Ok(None) };
        let parts = listen.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        match parts.map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(_)) => Ok(Some(HttpSpec { listen, allowed_hosts, token_env })),
            _ => Err(ConfigError::invalid(
                "[http] listen",
                format!(
                    "`{listen}` is no HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080; with port 0 a free one is taken"
                ),
            )),
        }
    }
}

fn check_host(host: &str) -> Result<(), ConfigError> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    if !host.is_empty() && host.chars().all(is_part) {
        return Ok(());
    }
    let problem = format!("`{host}` is no host's name, such as stream.example.org; leave its port out");
    Err(ConfigError::invalid("[http] allowed_hosts", problem))
}

fn check_variable(name: &str) -> Result<(), ConfigError> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if !name.is_empty() && name.chars().all(is_part) {
        return Ok(());
    }
    // What stands there may be the token itself, which belongs into no message.
    let problem = format!(
        "expects the name of an environment variable, such as {TOKEN_ENV}, and never the token itself"
    );
    Err(ConfigError::invalid("[http] token_env", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<HttpSpec>, ConfigError> {
        toml::from_str::<FileHttp>(text).unwrap().finish()
    }

    fn check(listen: &str, is_one: bool) {
        match read(&format!("listen = \"{listen}\"")) {
            Ok(found) => assert!(is_one && found.is_some_and(|of| of.listen == listen), "{listen}"),
            Err(error) => {
                assert!(!is_one && error.to_string().contains(&format!("`{listen}`")), "{error}");
            }
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for one in ["127.0.0.1:8080", "localhost:0", "[::1]:8080", "0.0.0.0:65535"] {
            check(one, true);
        }
        for none in ["8080", ":8080", "127.0.0.1", "127.0.0.1:", "localhost:http", "localhost:65536", ""] {
            check(none, false);
        }
        assert_eq!(FileHttp::default().finish().unwrap(), None);
        assert!(toml::from_str::<FileHttp>("port = 8080").is_err());
    }

    #[test]
    fn names_are_hosts_and_the_token_is_named_and_not_told() {
        let listen = "listen = \"0.0.0.0:80\"\n";
        let spec = read(&format!("{listen}allowed_hosts = [\"a.example\", \"b-1\"]\ntoken_env = \"T\""))
            .unwrap()
            .unwrap();
        assert_eq!((spec.allowed_hosts.len(), spec.token_env.as_str()), (2, "T"));
        assert_eq!(read(listen).unwrap().unwrap().token_env, TOKEN_ENV);
        for wrong in ["", "a:80", "http://a", "a/b", "*"] {
            let said = read(&format!("{listen}allowed_hosts = [\"{wrong}\"]")).unwrap_err().to_string();
            assert!(said.contains(&format!("`{wrong}`")), "{said}");
        }
        let said = read("token_env = \"hunter2-hunter2\"").unwrap_err().to_string();
        assert!(said.contains("token_env") && !said.contains("hunter2"), "{said}");
    }
}
