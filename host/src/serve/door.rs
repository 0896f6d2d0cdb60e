//! Who is let in: requests that are meant for this job, and, where something is changed, those with the token and from a
//! page of its own.
//!
//! A page of somebody else's cannot read answers, since none allows it to. It could all the same by a name of its own that
//! it lets lead to this machine, so a request names whom it is for, and only names that are known are taken. An
//! address is no name that anybody could let lead elsewhere.

use std::net::IpAddr;

use subtle::ConstantTimeEq;

use super::answer::Answer;
use super::request::Request;
use crate::config::HttpSpec;

/// A token with fewer letters could be guessed.
const TOKEN_LETTERS_MIN: usize = 16;

/// See the module. Nothing of the token is ever shown.
pub struct Door {
    /// In small letters.
    names: Vec<String>,
    token: Option<String>,
    token_env: String,
}

impl Door {
    /// With the token that the environment has.
    ///
    /// # Errors
    /// It is too short, or could not be sent.
    pub fn new(http: &HttpSpec) -> anyhow::Result<Self> {
        let token = std::env::var(&http.token_env).ok().filter(|token| !token.is_empty());
        let is_one = |token: &String| {
            token.len() >= TOKEN_LETTERS_MIN && token.bytes().all(|letter| letter.is_ascii_graphic())
        };
        anyhow::ensure!(
            token.as_ref().is_none_or(is_one),
            "the token in the environment variable {} must have {TOKEN_LETTERS_MIN} letters, digits and signs or more, and \
             no spaces; `openssl rand -hex 32` makes one",
            http.token_env
        );
        Ok(Self::with(http, token))
    }

    fn with(http: &HttpSpec, token: Option<String>) -> Self {
        let names = http.allowed_hosts.iter().map(String::as_str).chain(["localhost", name_of(&http.listen)]);
        let names = names.map(|name| name.to_ascii_lowercase()).collect();
        Self { names, token, token_env: http.token_env.clone() }
    }

    /// Whether anybody can change anything.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The variable that no other program needs to see.
    pub fn token_env(&self) -> &str {
        &self.token_env
    }

    /// Lets a request in that is meant for this job. One without a name comes from no browser.
    ///
    /// # Errors
    /// The answer to others.
    pub fn enter(&self, request: &Request) -> Result<(), Answer> {
        let Some(host) = &request.host else { return Ok(()) };
        let name = name_of(host).to_ascii_lowercase();
        if is_address(&name) || self.names.iter().any(|known| known == name.trim_end_matches('.')) {
            return Ok(());
        }
        let why = format!(
            "this job is not known as `{name}`; ask by its address, or name the host in `allowed_hosts` of [http] in the \
             pipeline file"
        );
        Err(Answer::error(421, &why))
    }

    /// Lets a request in that changes something.
    ///
    /// # Errors
    /// The answer to one of another page, without the token, or with another one.
    pub fn change(&self, request: &Request) -> Result<(), Answer> {
        if !is_own_page(request) {
            return Err(Answer::error(
                403,
                "this comes from a page of another host, and is not taken from there",
            ));
        }
        let Some(token) = &self.token else {
            let why = format!(
                "nothing can be changed over HTTP, since the job was started without a token; set the environment \
                 variable {} to one and start it again, or use `host swap`",
                self.token_env
            );
            return Err(Answer::error(403, &why));
        };
        let Some(given) = request.authorization.as_deref().and_then(bearer) else {
            let why = "a token is needed; send it as `Authorization: Bearer TOKEN`";
            return Err(Answer::unauthorized(why));
        };
        if bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
            return Ok(());
        }
        let why = format!("the token is not the one that the job has in {}", self.token_env);
        Err(Answer::unauthorized(&why))
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_address(name: &str) -> bool {
    let inside = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.unwrap_or(name).parse::<IpAddr>().is_ok()
}

/// Browsers tell whose page asks; other programs do not.
fn is_own_page(request: &Request) -> bool {
    let Some(origin) = &request.origin else { return true };
    let whose = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    whose.zip(request.host.as_deref()).is_some_and(|(whose, host)| whose.eq_ignore_ascii_case(host))
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn door(token: Option<&str>) -> Door {
        let http = HttpSpec {
            listen: "Stream-1:8080".into(),
            allowed_hosts: vec!["stream.example".into()],
            token_env: "THE_TOKEN".into(),
        };
        Door::with(&http, token.map(str::to_owned))
    }

    fn check_host(host: &str, is_let_in: bool) {
        let request = Request { host: Some(host.into()), ..Request::default() };
        let status = door(None).enter(&request).map_err(|answer| answer.status);
        assert_eq!(status, if is_let_in { Ok(()) } else { Err(421) }, "{host:?}");
    }

    #[test]
    fn names_that_nobody_gave_the_job_are_not_taken() {
        for ours in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
            "10.1.2.3:80",
            "stream-1:8080",
            "stream.example",
            "stream.example.:443",
        ] {
            check_host(ours, true);
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example:8080",
            "127.0.0.1.evil.example",
            "stream.example.evil",
            "stream.example@evil",
            "[::1",
            "0x7f.1",
            "127.0.0.1:8080:80",
        ] {
            check_host(other, false);
        }
        assert!(door(None).enter(&Request::default()).is_ok());
    }

    fn check_change(
        token: Option<&str>,
        origin: Option<&str>,
        given: Option<&str>,
        expected: Result<(), u16>,
    ) {
        let request = Request {
            host: Some("localhost:8080".into()),
            origin: origin.map(str::to_owned),
            authorization: given.map(str::to_owned),
            ..Request::default()
        };
        let answer = door(token).change(&request);
        if let Err(answer) = &answer {
            assert!(!answer.body.contains(TOKEN), "{answer:?}");
        }
        assert_eq!(answer.map_err(|answer| answer.status), expected, "{request:?}");
    }

    #[test]
    fn whoever_changes_something_has_the_token_and_a_page_of_ours() {
        let right = format!("Bearer {TOKEN}");
        check_change(Some(TOKEN), None, Some(&right), Ok(()));
        check_change(Some(TOKEN), Some("http://localhost:8080"), Some(&format!("bearer  {TOKEN}")), Ok(()));
        check_change(Some(TOKEN), Some("https://localhost:8080"), Some(&right), Ok(()));
        for other in ["http://localhost", "http://localhost:81", "http://evil.example", "null", ""] {
            check_change(Some(TOKEN), Some(other), Some(&right), Err(403));
        }
        for wrong in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some(TOKEN),
            Some("Basic abc"),
            Some("Bearer 0123456789abcdeF"),
        ] {
            check_change(Some(TOKEN), None, wrong, Err(401));
        }
        check_change(Some(TOKEN), None, Some(&format!("{right}0")), Err(401));
        check_change(None, None, Some(&right), Err(403));
        check_change(None, None, Some("Bearer "), Err(403));
    }
}
