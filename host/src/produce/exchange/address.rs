//! Where an exchange is: a base URL whose user and password are taken out of it at once, so
//! that nothing that is logged has them. It resolves and connects to nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::Uri;

#[derive(Clone)]
pub struct Address {
    base: String,
    host: String,
    port: u16,
    authorization: Option<String>,
}

impl Address {
    /// `schemes`: the plain one and the one over TLS.
    ///
    /// # Errors
    /// It is no such URL; the text never repeats it, since it may hold a password.
    pub fn parse(text: &str, schemes: [&str; 2]) -> Result<Self, String> {
        let expected = format!("give a URL such as {}://HOST or {}://HOST:PORT", schemes[1], schemes[0]);
        let uri = text.parse::<Uri>().map_err(|error| format!("it cannot be read ({error}); {expected}"))?;
        let Some(scheme) = uri.scheme_str().filter(|scheme| schemes.contains(scheme)) else {
            return Err(format!("its scheme is not {} or {}; {expected}", schemes[0], schemes[1]));
        };
        if uri.query().is_some() {
            return Err(format!("it has a query, which is ours to add; {expected}"));
        }
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| format!("it names no host; {expected}"))?;
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        let port = authority.port_u16();
        let shown_port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            base: format!("{scheme}://{}{shown_port}{path}", authority.host()),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: port.unwrap_or(if scheme == schemes[1] { 443 } else { 80 }),
            authorization: user.map(|user| format!("Basic {}", STANDARD.encode(unescaped(user)))),
        })
    }

    /// The address with a path and a query after it.
    pub fn with(&self, rest: &str) -> String {
        format!("{}{rest}", self.base)
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The header that says who asks.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Text as part of a query.
pub fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'@' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => out.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => out.extend([b"%", part.as_bytes()].concat()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart_and_shown_without_its_user() {
        for (text, shown, host, port, authorization) in [
            ("https://api.example.org", "https://api.example.org", "api.example.org", 443, None),
            ("http://h:81/a/b/", "http://h:81/a/b", "h", 81, None),
            ("http://[::1]:81", "http://[::1]:81", "::1", 81, None),
            ("http://u:p%40ss@h", "http://h", "h", 80, Some("u:p@ss")),
            ("http://u:1%zz%4@h", "http://h", "h", 80, Some("u:1%zz%4")),
        ] {
            let address = Address::parse(text, ["http", "https"]).unwrap();
            assert_eq!((address.to_string().as_str(), address.host(), address.port()), (shown, host, port));
            let expected = authorization.map(|user| format!("Basic {}", STANDARD.encode(user)));
            assert_eq!(address.authorization(), expected.as_deref(), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused_without_being_repeated() {
        for (text, told) in [
            ("ftp://u:hunter2@h", "scheme"),
            ("wss://u:hunter2@h", "scheme"),
            ("hunter2", "scheme"),
            ("", "cannot be read"),
            ("http://u:hunter2@h?a=b", "query"),
            ("http://u:hunter2@h h/", "cannot be read"),
        ] {
            let problem = Address::parse(text, ["http", "https"]).err().unwrap_or_default();
            assert!(problem.contains(told) && !problem.contains("hunter2"), "{text}: {problem}");
        }
    }

    #[test]
    fn letters_outside_of_a_query_are_escaped() {
        assert_eq!(escaped("btcusdt@ticker/a-b"), "btcusdt@ticker/a-b");
        assert_eq!(escaped("ä&=?%"), "%C3%A4%26%3D%3F%25");
    }
}
