//! The control socket's protocol: what anybody who may write to the socket can say, and what a job can answer.
//!
//! The input is all that comes over a connection; what follows the request's line is the component. It is
//! read as answers too.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[path = "../../host/src/job/swap/asked.rs"]
mod asked;
#[path = "../../host/src/control/message.rs"]
mod message;

/// Where the host has what a swap may be asked for.
mod job {
    pub mod swap {
        pub use crate::asked::{Shadowing, Windows};
    }
}

use message::{Answer, Asked, component};

/// More than any request's line.
const COMPONENT_BYTES_MAX: u64 = 128 * 1024;

fuzz_target!(|input| {
    check_request(input);
    check_answers(input);
});

fn check_request(mut connection: &[u8]) {
    let all = connection;
    let Ok(asked) = Asked::read(&mut connection) else { return };
    assert!(all.ends_with(connection), "what follows the request is left");
    let Asked::Swap(asked) = asked else { return };
    check_said_again(&*asked);
    let followed_by = connection;
    let bytes = asked.component_bytes.min(COMPONENT_BYTES_MAX);
    match component(&mut connection, bytes) {
        Ok(component) => {
            assert_eq!(component, &followed_by[..bytes as usize]);
            assert_eq!(connection, &followed_by[bytes as usize..]);
        }
        Err(_) => assert!((followed_by.len() as u64) < bytes),
    }
}

fn check_answers(connection: &[u8]) {
    for line in connection.split(|byte| *byte == b'\n') {
        if let Ok(answer) = serde_json::from_slice::<Answer>(line) {
            check_said_again(&answer);
        }
    }
}

/// What was understood is said in one line, and understood as the same.
fn check_said_again<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T) {
    let line = serde_json::to_string(message).expect("what was understood can be said");
    assert!(!line.contains('\n'));
    let again: T = serde_json::from_str(&line).expect("what was said is understood");
    assert_eq!(again, *message, "{line}");
}
