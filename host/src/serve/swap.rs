//! A swap that is asked for over HTTP: the component is the body, the rest stands in the query. It is made as one that
//! comes over the control socket; what is answered are the same lines.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answer::{Answer, Lines, go_on};
use super::request::Request;
use super::server::Site;
use super::tables::parameter;
use crate::control::{self, SwapRequest, make_swap};
use crate::job::swap::{Busy, Promote, Shadowing, Swapper, Windows};

pub const PATH: &str = "/api/swap";
/// So many are heard at a time; each may have sent a component.
const SWAPS_MAX: usize = 4;
/// The component must have come by then.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
const NAME_BYTES_MAX: usize = 128;
const BATCHES: u64 = 20;

/// Answers one request, whatever becomes of it.
///
/// # Errors
/// Whoever asked has gone.
pub fn serve(stream: &mut TcpStream, mut request: Request, site: &Site) -> std::io::Result<()> {
    let allowed = site.door.change(&request).and_then(|()| seat(site));
    let heard = allowed.and_then(|seat| Ok((hear(stream, &mut request, site)?, seat)));
    let mut lines = Lines::new(stream);
    let ((asked, component, swapper), _seat) = match heard {
        Ok(heard) => heard,
        Err(refusal) => return lines.answer(&refusal),
    };
    let ended = make_swap(asked, &component, &swapper, &mut |answer| Ok(lines.say(&line(answer))?));
    match ended {
        Ok(control::Answer::Told) => lines.end(),
        Ok(last) => lines.say(&line(&last)).and_then(|()| lines.end()),
        Err(error) if lines.has_begun => {
            lines.say(&json!({ "error": format!("{error:#}") })).and_then(|()| lines.end())
        }
        Err(error) => {
            let status = if error.is::<Busy>() { 409 } else { 422 };
            lines.answer(&Answer::error(status, &format!("{error:#}")))
        }
    }
}

/// A place among those that are heard; who may not ask has none.
fn seat(site: &Site) -> Result<Arc<()>, Answer> {
    let seat = Arc::clone(&site.swaps);
    if Arc::strong_count(&seat) > SWAPS_MAX + 1 {
        return Err(Answer::error(503, &format!("{SWAPS_MAX} swaps are heard already; try again later")));
    }
    Ok(seat)
}

/// Takes the request of somebody who may ask in.
fn hear(
    stream: &mut TcpStream,
    request: &mut Request,
    site: &Site,
) -> Result<(SwapRequest, Vec<u8>, Arc<Swapper>), Answer> {
    let Some(swapper) = site.board.handle.swapper() else {
        return Err(Answer::error(503, "the job is starting: it has no plugins yet that could be replaced"));
    };
    let bytes = request.body_bytes(swapper.runtime.limits().component_bytes_max)?;
    let asked = asked(&request.query, bytes, stream)?;
    if request.waits && bytes > 0 {
        go_on(stream).map_err(|cause| Answer::error(400, &cause.to_string()))?;
    }
    let component = request.body(stream, bytes, Instant::now() + BODY_TIME_MAX)?;
    Ok((asked, component, swapper))
}

/// What the query says.
fn asked(query: &str, bytes: u64, stream: &TcpStream) -> Result<SwapRequest, Answer> {
    let wrong = |why: &str| Answer::error(400, why);
    let of = |name: &str| parameter(query, name);
    let stage = of("stage")
        .ok_or_else(|| wrong("say which stage: `stage` is parse, transform:NUMBER or aggregate:NAME"))?;
    let name = of("name").unwrap_or_else(|| "uploaded".to_owned());
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(wrong(
            "`name` is what the plugin is called, in up to 128 bytes without control characters",
        ));
    }
    let mode = of("mode").unwrap_or_default();
    let batches = of("batches").map_or(Ok(BATCHES), |text| text.parse());
    let batches = batches.ok().filter(|batches| *batches > 0);
    let batches = batches.ok_or_else(|| wrong("`batches` is a number, 1 or more"))?;
    let (dry_run, shadow) = match mode.as_str() {
        "dry-run" => (true, None),
        "shadow" => (false, Some(Shadowing { batches, promote: Promote::Never })),
        "promote" | "back" => (false, None),
        _ => return Err(wrong("`mode` is dry-run, shadow, promote or back")),
    };
    if (mode == "back") != (bytes == 0) {
        return Err(wrong("the body is the new plugin's component; only with the mode back there is none"));
    }
    let windows =
        windows(of("windows").as_deref()).ok_or_else(|| wrong("`windows` is take-over, rebuild or reset"))?;
    let peer =
        stream.peer_addr().map_or_else(|_| "an unknown address".to_owned(), |peer| peer.ip().to_string());
    Ok(SwapRequest {
        command: format!("host swap --checkpoint DIR --stage {stage} {name}.wasm"),
        stage,
        name,
        component_bytes: bytes,
        dry_run,
        allow_downgrade: of("allow-downgrade").as_deref() == Some("true"),
        windows,
        output: None,
        shadow,
        signature: of("signature").filter(|signature| !signature.is_empty()),
        asked_by: format!("the dashboard at {peer}"),
    })
}

fn windows(text: Option<&str>) -> Option<Windows> {
    match text.unwrap_or("take-over") {
        "take-over" => Some(Windows::TakeOver),
        "rebuild" => Some(Windows::Rebuild),
        "reset" => Some(Windows::Reset),
        _ => None,
    }
}

/// An answer as an object of one key.
fn line(answer: &control::Answer) -> Value {
    match answer {
        control::Answer::Plan(plan) => json!({ "plan": plan }),
        control::Answer::Shadowing(progress) => json!({ "shadowing": progress }),
        control::Answer::Shadowed(report) => json!({ "shadowed": report }),
        control::Answer::Done(report) => json!({ "done": report }),
        control::Answer::Failed(why) => json!({ "error": why }),
        control::Answer::Told | control::Answer::Copies { .. } => json!({}),
    }
}
