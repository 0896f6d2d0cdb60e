//! The swap that is under way, as others than its asker see it: one goes in at a time, the next is told
//! which one that is, and whoever changes their mind takes it back before it is committed.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};
use speed_layer_plugin::PluginId;

use super::Report;
use crate::plan::StageName;

/// Whether a swap was taken back, and by whom. Clones speak of the same swap.
#[derive(Debug, Clone, Default)]
pub struct TakenBack(Arc<OnceLock<String>>);

impl TakenBack {
    pub fn by(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// Why a swap has to wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another swap is under way, {stage} to {plugin}, asked for by {asked_by} {seconds} s ago; try again when it has \
     ended, or take it back: `host swap --stage {stage} --back`"
)]
pub struct Busy {
    stage: StageName,
    plugin: PluginId,
    asked_by: String,
    seconds: u64,
}

/// One swap at a time.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Option<UnderWay>>);

#[derive(Debug)]
struct UnderWay {
    stage: StageName,
    plugin: PluginId,
    asked_by: String,
    began: Instant,
    taken_back: TakenBack,
    /// Those who have taken it back and wait for its end.
    waiting: Vec<Sender<Report>>,
}

/// The right to make a swap, until it is dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    pub taken_back: TakenBack,
}

impl Gate {
    /// # Errors
    /// Another swap is under way.
    pub fn enter(&self, stage: &StageName, plugin: PluginId, asked_by: &str) -> Result<Pass<'_>, Busy> {
        let mut inside = self.lock();
        if let Some(inside) = &*inside {
            return Err(inside.busy());
        }
        let taken_back = TakenBack::default();
        *inside = Some(UnderWay {
            stage: stage.clone(),
            plugin,
            asked_by: asked_by.to_owned(),
            began: Instant::now(),
            taken_back: taken_back.clone(),
            waiting: Vec::new(),
        });
        Ok(Pass { gate: self, taken_back })
    }

    /// Asks that the swap of `stage` that is under way be taken back; what became of it is
    /// then received. `None` if there is no such swap.
    pub fn take_back(&self, stage: &StageName, by: &str) -> Option<Receiver<Report>> {
        let mut inside = self.lock();
        let inside = inside.as_mut().filter(|inside| inside.stage == *stage)?;
        // Whoever was first has taken it back.
        let _ = inside.taken_back.0.set(by.to_owned());
        let (sender, receiver) = unbounded();
        inside.waiting.push(sender);
        Some(receiver)
    }

    /// A thread that panicked inside has left nothing half done: each change is one move.
    fn lock(&self) -> MutexGuard<'_, Option<UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    fn busy(&self) -> Busy {
        Busy {
            stage: self.stage.clone(),
            plugin: self.plugin.clone(),
            asked_by: self.asked_by.clone(),
            seconds: self.began.elapsed().as_secs(),
        }
    }
}

impl Pass<'_> {
    /// Lets the next one in, then tells those who wait.
    pub fn end(self, report: &Report) {
        let waiting = self.gate.lock().as_mut().map(|inside| std::mem::take(&mut inside.waiting));
        drop(self);
        for waiting in waiting.into_iter().flatten() {
            // Whoever asked may have gone.
            let _ = waiting.send(report.clone());
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use speed_layer_plugin::Digest;

    use super::*;

    fn enter<'a>(gate: &'a Gate, name: &str) -> Result<Pass<'a>, Busy> {
        let plugin = PluginId { name: name.to_owned(), digest: Digest::of(b"new") };
        gate.enter(&StageName::Parse, plugin, "uid 7")
    }

    #[test]
    fn the_second_is_told_of_the_first_and_goes_in_after_it() {
        let gate = Gate::default();
        let first = enter(&gate, "one").unwrap();
        let said = enter(&gate, "two").unwrap_err().to_string();
        for part in ["parse to one", &Digest::of(b"new").short(), "uid 7 0 s ago"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        drop(first);
        enter(&gate, "two").unwrap();
    }

    #[test]
    fn only_the_swap_of_that_stage_is_taken_back_and_the_first_to_do_it_is_named() {
        let gate = Gate::default();
        assert!(gate.take_back(&StageName::Parse, "nobody").is_none());
        let pass = enter(&gate, "one").unwrap();
        assert!(gate.take_back(&StageName::Transform(0), "uid 8").is_none());
        assert_eq!(pass.taken_back.by(), None);
        let ended = gate.take_back(&StageName::Parse, "uid 9").unwrap();
        gate.take_back(&StageName::Parse, "uid 10").unwrap();
        assert_eq!(pass.taken_back.by(), Some("uid 9"));
        drop(pass);
        assert!(ended.recv().is_err(), "it was dropped without a report");
    }
}
