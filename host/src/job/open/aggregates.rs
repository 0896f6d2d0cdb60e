//! What a start does to the aggregates of its checkpoint before it goes on from there: what
//! is to go is dropped before the job is taken, what is to be built is built after that. When
//! and over what, not how.

use speed_layer_core::settings::Difference;
use speed_layer_kafka::TopicFacts;
use speed_layer_store::LetterSender;
use speed_layer_store::layer::FileLayer;

use super::{Planned, Taken};
use crate::job::JobHandle;
use crate::job::aggregates::{Order, Over, build};
use crate::job::positions::Beginnings;
use crate::job::replay::RereadTopic;

impl<L: FileLayer> Planned<'_, L> {
    /// What is to be built of new aggregates.
    ///
    /// # Errors
    /// See [`Order::of`].
    pub(super) fn order(&self, facts: &TopicFacts, beginnings: &Beginnings) -> anyhow::Result<Option<Order>> {
        Order::of(self.spec, self.seen.as_ref(), &self.store, facts, &beginnings.gaps)
    }

    /// Drops what is to be dropped, for good. From here on files are written, and letters sent.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn without_dropped(
        mut self,
        sender: impl Fn(&Self) -> anyhow::Result<Option<LetterSender>>,
    ) -> anyhow::Result<Self> {
        if let Some(removal) = self.removal.take() {
            removal.carry_out(sender(&self)?)?;
        }
        Ok(self)
    }
}

impl<L: FileLayer + Send + 'static> Taken<'_, L> {
    /// Builds the new aggregates that are to be, from `again`, before the stream goes on.
    ///
    /// # Errors
    /// See [`Order::of`] and [`build`].
    pub fn backfill<T: RereadTopic>(
        self,
        facts: &TopicFacts,
        beginnings: &Beginnings,
        again: impl FnOnce() -> anyhow::Result<T>,
        stop: &JobHandle,
    ) -> anyhow::Result<Self> {
        let (checkpoint, store) = (self.checkpoint.as_ref(), self.committer.store());
        let order = Order::of(self.spec, checkpoint, store, facts, &beginnings.gaps)?;
        order.iter().for_each(Order::tell);
        let (Some(order), Some(checkpoint)) = (order.filter(|order| !order.names.is_empty()), checkpoint)
        else {
            return Ok(self);
        };
        let (spec, plan, beginnings) = (self.spec, self.plan.as_ref(), beginnings.partitions.as_slice());
        let over = Over { spec, plan, checkpoint, facts, beginnings };
        let (committer, checkpoint, joined) = build(&order, &over, self.committer, &again()?, stop)?;
        let is_built = |of: &&Difference| matches!(of, Difference::NewAggregate { name, .. } if order.names.contains(name));
        let differences = self.differences.iter().filter(|of| !is_built(of)).cloned().collect();
        Ok(Self { committer, checkpoint: Some(checkpoint), differences, backfilled: Some(joined), ..self })
    }
}
