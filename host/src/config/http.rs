//! `[http]` of a pipeline file: where the job answers over HTTP. It does not look whether that address can be had.

use serde::Deserialize;

use super::ConfigError;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileHttp {
    pub listen: Option<String>,
}

impl FileHttp {
    /// The address to listen on, `HOST:PORT`; `None`: the job does not listen.
    ///
    /// # Errors
    /// It is no such address.
    pub fn finish(self) -> Result<Option<String>, ConfigError> {
        let Some(listen) = self.listen else { return Ok(None) };
        let parts = listen.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        match parts.map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(_)) => Ok(Some(listen)),
            _ => Err(ConfigError::invalid(
                "[http] listen",
                format!(
                    "`{listen}` is no HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080; with port 0 a free one is taken"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listen: &str, is_one: bool) {
        let http: FileHttp = toml::from_str(&format!("listen = \"{listen}\"")).unwrap();
        match http.finish() {
            Ok(found) => assert!(is_one && found.as_deref() == Some(listen), "{listen}"),
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
}
