//! A swap as it is asked for from outside, over the control socket or HTTP: from what was asked to what is answered.
//! How a swap is made is the job's business.

use super::{Answer, SwapRequest};
use crate::job::swap::{Request, Swapper, Told};
use crate::trust::from_hex;

/// Makes the swap, or tells what it would change; without a component the plugin before the present one comes back. `say`
/// hears each answer but the last, which is given back.
///
/// # Errors
/// Why it is refused, a [`Busy`](crate::job::swap::Busy) among them; nothing has changed then.
pub fn make(
    asked: SwapRequest,
    component: &[u8],
    swapper: &Swapper,
    say: &mut dyn FnMut(&Answer) -> anyhow::Result<()>,
) -> anyhow::Result<Answer> {
    let stage = asked.stage.parse().map_err(anyhow::Error::msg)?;
    let signature = asked.signature.as_deref().map(from_hex).transpose()?;
    let SwapRequest { allow_downgrade, windows, output, command, shadow, .. } = asked;
    let request = Request { stage, allow_downgrade, windows, output, command, shadow, signature };
    let mut tell = |told: Told<'_>| {
        say(&match told {
            Told::Plan(plan) => Answer::Plan(serde_json::to_value(plan)?),
            Told::Shadowing(progress) => Answer::Shadowing(serde_json::to_value(progress)?),
            Told::Shadowed(report) => Answer::Shadowed(serde_json::to_value(report)?),
        })
    };
    let report = if component.is_empty() {
        swapper.back(&request, &asked.asked_by, asked.dry_run, &mut tell)?
    } else {
        swapper.swap(&request, &asked.name, component, &asked.asked_by, asked.dry_run, &mut tell)?
    };
    Ok(match report {
        Some(report) => Answer::Done(serde_json::to_value(report)?),
        None => Answer::Told,
    })
}
