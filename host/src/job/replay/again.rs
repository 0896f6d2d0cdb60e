//! The stages of a plan over records that are read again: each record is held to what the
//! clock held it to the first time. What comes out piles up until a cut; nothing here
//! makes windows of it.

use std::sync::Arc;

use speed_layer_core::clock::ClockBounds;
use speed_layer_core::records::Records;

use super::refused::Refused;
use crate::plan::Plan;
use crate::stages::{Chain, EpochContext};

/// How the clock judges a record that is read again.
#[derive(Debug, Clone)]
pub struct Judge {
    pub bounds: ClockBounds,
    /// How far ahead of an epoch's begin its bound was.
    pub skew_ms: i64,
    pub refused: Refused,
}

/// The stages, and the epoch that records are taken in by.
pub struct Again {
    pub chain: Chain,
    pub epoch: EpochContext,
    pub judge: Judge,
}

impl Again {
    /// Opens the plan's plugins. `epoch` is what they are told and what records are held to
    /// that the clock did not refuse before.
    ///
    /// # Errors
    /// A plugin refuses.
    pub fn open(plan: &Arc<Plan>, epoch: EpochContext, judge: Judge) -> anyhow::Result<Self> {
        Ok(Self { chain: Chain::open(plan, judge.bounds)?, epoch, judge })
    }

    /// Takes a batch through the stages.
    ///
    /// # Errors
    /// A plugin failed; what has piled up is of no use then.
    pub fn take(&mut self, records: &Records) -> anyhow::Result<()> {
        let Some(parts) = self.judge.refused.parts(records) else {
            return self.chain.process(&self.epoch, records);
        };
        for (bound_ms, rows) in parts {
            let epoch = self.epoch_of(bound_ms);
            self.chain.process(&epoch, &records.select(&rows))?;
        }
        Ok(())
    }

    fn epoch_of(&self, bound_ms: Option<i64>) -> EpochContext {
        let began_ms = bound_ms.map(|bound_ms| bound_ms.saturating_sub(self.judge.skew_ms));
        EpochContext { epoch_began_ms: began_ms.unwrap_or(self.epoch.epoch_began_ms), ..self.epoch.clone() }
    }
}
