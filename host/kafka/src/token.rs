//! A token for SASL OAUTHBEARER, from a command of the operator's: what it prints is the
//! token, alone or as a token endpoint gives it. When one is wanted is librdkafka's to say,
//! and what is in a token the broker's to judge.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use serde_json::Value;
use thiserror::Error;

/// How long the command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// What the command may print.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;
/// Between two looks at a command that has said all and not ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Why there is no token. No text has a part of one.
#[derive(Debug, Error)]
pub(crate) enum TokenError {
    #[error("there is no command for a token: set sasl.oauthbearer.token.command")]
    NoCommand,
    #[error("the command for a token could not be run by sh ({0})")]
    NotRun(std::io::Error),
    #[error("the command for a token was still running after {} s and was ended", COMMAND_TIMEOUT.as_secs())]
    TooSlow,
    #[error("the command for a token failed ({status}): run it by hand to see why")]
    Failed { status: String },
    #[error("the command for a token printed none: it prints the token, or JSON with access_token")]
    Nothing,
    #[error(
        "the command for a token does not say when the token expires: print JSON with access_token and \
         expires_in (seconds), or a JWT with exp"
    )]
    NoExpiry,
}

/// Runs `command` by `sh -c` and reads what it prints.
///
/// # Errors
/// It fails, takes too long, or prints no token.
pub(crate) fn fetch(command: Option<&str>) -> Result<OAuthToken, TokenError> {
    let printed = run(command.ok_or(TokenError::NoCommand)?)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    read(&printed, i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

fn run(command: &str) -> Result<String, TokenError> {
    let deadline = Instant::now() + COMMAND_TIMEOUT;
    let mut sh = Command::new("sh");
    sh.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = sh.spawn().map_err(TokenError::NotRun)?;
    let printed = read_until(&mut child, deadline);
    let status = end_by(&mut child, deadline)?;
    if !status.success() {
        return Err(TokenError::Failed { status: status.to_string() });
    }
    printed
}

/// All that it prints, read on a thread of its own, since a command may print nothing for ever.
fn read_until(child: &mut Child, deadline: Instant) -> Result<String, TokenError> {
    let Some(stdout) = child.stdout.take() else { return Err(TokenError::Nothing) };
    let (send, printed) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.take(OUTPUT_BYTES_MAX).read_to_string(&mut text);
        // Nobody waits any more where it came too late.
        let _ = send.send(read.map(|_| text));
    });
    match printed.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(read) => read.map_err(TokenError::NotRun),
        Err(_) => Err(TokenError::TooSlow),
    }
}

fn end_by(child: &mut Child, deadline: Instant) -> Result<std::process::ExitStatus, TokenError> {
    loop {
        match child.try_wait().map_err(TokenError::NotRun)? {
            Some(status) => return Ok(status),
            None if Instant::now() < deadline => thread::park_timeout(LOOK_AGAIN),
            None => {
                // It may have ended this instant.
                let _ = child.kill();
                child.wait().map_err(TokenError::NotRun)?;
                return Err(TokenError::TooSlow);
            }
        }
    }
}

/// A token as printed: bare, or the JSON of a token endpoint.
fn read(printed: &str, now_ms: i64) -> Result<OAuthToken, TokenError> {
    let printed = printed.trim();
    let answer = serde_json::from_str::<Value>(printed).ok().filter(Value::is_object);
    let field = |name| answer.as_ref().and_then(|answer| answer.get(name));
    let token = match &answer {
        Some(_) => field("access_token").and_then(Value::as_str).unwrap_or_default(),
        None => printed,
    };
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(TokenError::Nothing);
    }
    let claims = claims(token);
    let claim = |name| claims.as_ref().and_then(|claims| claims.get(name));
    let in_s = field("expires_in").and_then(Value::as_f64);
    let at_s = claim("exp").and_then(Value::as_f64);
    let lifetime_ms = match (in_s, at_s) {
        (Some(in_s), _) => now_ms.saturating_add((in_s * 1000.0) as i64),
        (None, Some(at_s)) => (at_s * 1000.0) as i64,
        (None, None) => return Err(TokenError::NoExpiry),
    };
    let principal_name = claim("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(OAuthToken { token: token.to_owned(), principal_name, lifetime_ms })
}

/// What a JWT says of itself; `None` of any other token.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000_000;

    fn jwt(claims: &str) -> String {
        format!("{}.{}.", BASE64_URL_SAFE_NO_PAD.encode("{}"), BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_read_bare_and_from_an_endpoints_answer() {
        let check = |printed: &str, principal: &str, lifetime_ms: i64| {
            let token = read(printed, NOW_MS).expect(printed);
            assert_eq!((token.principal_name.as_str(), token.lifetime_ms), (principal, lifetime_ms));
            assert!(printed.contains(&token.token));
        };
        check(&format!("{}\n", jwt(r#"{"sub":"bob","exp":2000}"#)), "bob", 2_000_000);
        check(r#"{"access_token":"opaque","expires_in":60}"#, "", NOW_MS + 60_000);
        let both = format!(r#"{{"access_token":"{}","expires_in":60}}"#, jwt(r#"{"sub":"eve","exp":2000}"#));
        check(&both, "eve", NOW_MS + 60_000);
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        let check = |printed: &str, expected: &str| {
            let error = read(printed, NOW_MS).map(|token| token.token).expect_err(printed).to_string();
            assert!(error.contains(expected) && !error.contains("opaque"), "{error}");
        };
        check("", "printed none");
        check("two words", "printed none");
        check(r#"{"error":"opaque"}"#, "printed none");
        check("opaque", "expires");
        check(r#"{"access_token":"opaque"}"#, "expires");
        check(&jwt(r#"{"sub":"bob"}"#), "expires");
    }

    #[test]
    fn a_command_that_fails_or_is_not_there_is_told() {
        let check = |command, expected: &str| {
            let error = fetch(command).map(|token| token.token).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(None, "sasl.oauthbearer.token.command");
        check(Some("exit 3"), "exit status: 3");
        check(Some("true"), "printed none");
        let token = fetch(Some(r#"echo '{"access_token":"a","expires_in":1}'"#)).expect("a token");
        assert_eq!(token.token, "a");
    }
}
