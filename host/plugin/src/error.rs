//! Why a call of a plugin has no result, told apart by what the caller does about it.
//! Nothing here decides or retries.

use crate::{CallSite, Clause, Clock, Stage};

/// What a plugin does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A setting: which, what is wrong, what is expected.
    #[error("its configuration: {0}; correct the setting and start again")]
    BadConfig(String),
    /// The schema before it: which column, what is wrong, what is expected.
    #[error("its input: {0}; put another plugin before it or change that one's configuration")]
    BadInput(String),
    /// States that another version wrote: which version or column, what is wrong, what is expected.
    #[error("the states that it should take over: {0}; give it states that it can read, or none")]
    UnreadableStates(String),
}

/// Why a call has no result. Every one names the plugin, its digest, the stage and the
/// callback.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Start or swap is refused; nothing has changed.
    #[error("{call}: the plugin refuses {refusal}")]
    Refused { call: CallSite, refusal: Refusal },
    /// The plugin asks for the same batch on a fresh instance.
    #[error(
        "{call}: the plugin asks to try the batch again on a fresh instance: {message}; if it asks twice the \
         job stops before the batch"
    )]
    RetryBatch { call: CallSite, message: String },
    /// The plugin asks to stop.
    #[error(
        "{call}: the plugin stops the job: {message}; the position stays before the batch, so remove the \
         cause and start the job again"
    )]
    StopJob { call: CallSite, message: String },
    /// The guest trapped; its instance is gone.
    #[error(
        "{call}: the plugin trapped ({reason}); the call's results are discarded, so see its log lines just \
         before this and replace or report the plugin"
    )]
    Trap { call: CallSite, reason: String },
    /// The guest took too long; its instance is gone.
    #[error(
        "{call}: the call used up its {budget_ms} ms of {clock} and was ended; give it smaller batches or a \
         larger call_cpu_ms, or replace the plugin"
    )]
    Deadline { call: CallSite, clock: Clock, budget_ms: u64 },
    /// The guest wanted more memory than it may have; its instance is gone.
    #[error(
        "{call}: the plugin wanted {wanted} {unit} and may have {max}; give it smaller batches or a larger \
         {setting}, or replace the plugin"
    )]
    MemoryLimit { call: CallSite, wanted: u64, max: u64, unit: &'static str, setting: &'static str },
    /// What the guest returned breaks the contract; its instance is not used again.
    #[error(
        "{call}: the plugin broke the contract: {clause}; the call's results are discarded, so replace or \
         report the plugin"
    )]
    Contract { call: CallSite, clause: Box<Clause> },
    /// An instance is called again after it trapped, overran or broke the contract.
    #[error("{call}: this instance failed before and is not used again; open a fresh one")]
    Spent { call: CallSite },
    /// The plugin is of another stage than the one that is asked for.
    #[error("{call}: the plugin is of the {found} stage; name it as the {found} plugin")]
    WrongStage { call: CallSite, found: Stage },
    /// The host gave something that cannot cross the boundary. The plugin is not at fault.
    #[error("{call}: the host's own input does not fit: {what}; the plugin was not called")]
    Input { call: CallSite, what: String },
}

impl PluginError {
    /// Whether single rows may have caused it: then the others can be had without them. A
    /// call that only waited too long says nothing about its rows.
    pub fn may_lie_in_rows(&self) -> bool {
        match self {
            Self::Trap { .. } | Self::Contract { .. } | Self::MemoryLimit { .. } => true,
            Self::Deadline { clock, .. } => *clock == Clock::Cpu,
            _ => false,
        }
    }

    /// Short, for machines; the same for all failures of a kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "plugin-refused",
            Self::RetryBatch { .. } => "plugin-asked-again",
            Self::StopJob { .. } => "plugin-stopped",
            Self::Trap { .. } => "plugin-trapped",
            Self::Deadline { .. } => "plugin-overran",
            Self::MemoryLimit { .. } => "plugin-over-limit",
            Self::Contract { .. } => "plugin-broke-contract",
            Self::Spent { .. } | Self::WrongStage { .. } | Self::Input { .. } => "host-fault",
        }
    }

    /// The call that failed.
    pub fn call(&self) -> &CallSite {
        match self {
            Self::Refused { call, .. }
            | Self::RetryBatch { call, .. }
            | Self::StopJob { call, .. }
            | Self::Trap { call, .. }
            | Self::Deadline { call, .. }
            | Self::MemoryLimit { call, .. }
            | Self::Contract { call, .. }
            | Self::Spent { call }
            | Self::WrongStage { call, .. }
            | Self::Input { call, .. } => call,
        }
    }
}
