//! Joining a worker's groups into the job's: new groups are taken over at once,
//! those that both have are listed for the plugin's `merge`.

use super::{GroupError, GroupTable};

/// Groups that both tables have: merge the state in `theirs[i]` of the other table
/// into the one in `ours[i]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergePlan {
    pub ours: Vec<u32>,
    pub theirs: Vec<u32>,
}

impl GroupTable {
    /// Takes over `other`'s windows, offsets and the groups that are new here, and
    /// lists the rest. `other` is not changed: clear it once the plan is carried out.
    ///
    /// # Errors
    /// The tables are of different kinds, or this one is full.
    pub fn absorb(&mut self, other: &Self) -> Result<MergePlan, GroupError> {
        if self.spec != other.spec {
            let (ours_us, theirs_us) = (self.spec.size_us(), other.spec.size_us());
            return Err(GroupError::OtherWindows { ours_us, theirs_us });
        }
        let mut plan = MergePlan::default();
        for (start_us, theirs) in &other.places {
            self.absorb_window(*start_us, other, *theirs, &mut plan)?;
        }
        Ok(plan)
    }

    fn absorb_window(
        &mut self,
        start_us: i64,
        other: &Self,
        theirs: u32,
        plan: &mut MergePlan,
    ) -> Result<(), GroupError> {
        let place = self.place(start_us);
        let (ours, theirs) = (&mut self.windows[place as usize], &other.windows[theirs as usize]);
        for (partition, offset) in theirs.lowest_offsets() {
            ours.contributed(partition, offset)?;
        }
        for entry in theirs.entries() {
            let mut is_new = false;
            let states = &mut self.states;
            let our_entry = ours.entry(entry.key.as_bytes(), || {
                is_new = true;
                Ok(states.push_from(&other.states, entry.slot)?)
            })?;
            if !is_new {
                plan.ours.push(our_entry.slot);
                plan.theirs.push(entry.slot);
            }
        }
        Ok(())
    }
}
