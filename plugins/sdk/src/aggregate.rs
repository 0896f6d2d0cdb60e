//! The aggregate stage: pure functions over states that the host owns.
//!
//! An aggregate is a [`Plan`]: a list of accumulators, each with its own columns of the
//! state. The plan answers every call of the contract; grouping, windows and the keeping of
//! states are the host's.

use crate::bindings::aggregate::exports::speed_layer::plugin::aggregate as contract;
use crate::columns::View;
use crate::columns::{Value, bit};
use crate::config::Config;
use crate::plan::Plan;
use crate::types::{Batch, Context, Refusal, Schema};

pub use contract::Description as AggregateDescription;
pub use contract::{Finished, Guest, StateDescription, Windows};

/// An aggregate. Exported with [`export_aggregate!`](crate::export_aggregate).
pub trait Aggregate: 'static {
    /// Reads the settings and the schema before it, and says which accumulators there are and
    /// what older versions of the state looked like.
    ///
    /// # Errors
    /// `bad-config` or `bad-input`, saying what is wrong and what is expected.
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal>;
}

/// Makes the plan, refuses settings that it does not know and checks what it says of older states.
///
/// # Errors
/// The plugin's own, and `bad-config` for an unknown setting and for declarations that contradict
/// one another.
pub fn plan<T: Aggregate>(config: &str, input: &Schema) -> Result<Plan, Refusal> {
    let mut config = Config::read(config)?;
    let plan = T::plan(&mut config, input)?;
    config.finish()?;
    plan.check()?;
    Ok(plan)
}

/// What is known of the groups when their results are wanted.
#[derive(Debug)]
pub struct Closing<'a> {
    /// The call's context.
    pub context: &'a Context,
    /// The key of each group, as the input's schema has it.
    pub keys: &'a Batch,
    /// The window of each group; empty lists without windows.
    pub windows: &'a Windows,
    /// False when somebody looks at open windows.
    pub is_final: bool,
}

/// Which rows go into which groups.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a> {
    rows: &'a [u32],
    groups: &'a [u32],
}

impl<'a> Pairs<'a> {
    /// Pair i says that row `rows[i]` belongs to the state `groups[i]`.
    pub fn new(rows: &'a [u32], groups: &'a [u32]) -> Self {
        Pairs { rows, groups }
    }

    /// Every row and its group, in order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = (usize, usize)> + 'a {
        self.rows.iter().zip(self.groups).map(|(&row, &group)| (row as usize, group as usize))
    }

    /// Calls with row, group and value for every row that has a value, in order.
    #[inline]
    pub fn each_value<T: Value>(self, column: View<'_, T>, mut call: impl FnMut(usize, usize, T)) {
        let values = column.values();
        match column.validity() {
            None => self.iter().for_each(|(row, group)| call(row, group, values[row])),
            Some(validity) => {
                let valid = self.iter().filter(|&(row, _)| bit(validity, row));
                valid.for_each(|(row, group)| call(row, group, values[row]));
            }
        }
    }
}

/// Makes a component of the aggregate world from an [`Aggregate`].
#[macro_export]
macro_rules! export_aggregate {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::aggregate as stage;
            use $crate::types::{Batch, Context, Failure, Refusal, Schema};

            ::std::thread_local! {
                static OPEN: $crate::slot::Slot<$crate::plan::Plan> = const { $crate::slot::Slot::new() };
            }
            struct Exported;
            impl stage::Guest for Exported {
                fn describe(config: String, input: Schema) -> Result<stage::AggregateDescription, Refusal> {
                    Ok(stage::plan::<$plugin>(&config, &input)?.describe())
                }
                fn open(config: String, input: Schema) -> Result<(), Refusal> {
                    OPEN.with(|slot| slot.open(stage::plan::<$plugin>(&config, &input)))
                }
                fn update(
                    _context: Context,
                    batch: Batch,
                    rows: Vec<u32>,
                    groups: Vec<u32>,
                    states: Batch,
                ) -> Result<Batch, Failure> {
                    let pairs = stage::Pairs::new(&rows, &groups);
                    OPEN.with(|slot| slot.call(|plan| plan.update(&batch, pairs, states)))
                }
                fn merge(_context: Context, left: Batch, right: Batch) -> Result<Batch, Failure> {
                    OPEN.with(|slot| slot.call(|plan| plan.merge(left, &right)))
                }
                fn finish(
                    context: Context,
                    states: Batch,
                    keys: Batch,
                    windows: stage::Windows,
                    is_final: bool,
                ) -> Result<stage::Finished, Failure> {
                    let closing =
                        stage::Closing { context: &context, keys: &keys, windows: &windows, is_final };
                    OPEN.with(|slot| slot.call(|plan| plan.finish(&states, &closing)))
                }
                fn migrate(from_version: u32, from_columns: Schema, states: Batch) -> Result<Batch, Refusal> {
                    let migrated = OPEN
                        .with(|slot| slot.call(|plan| Ok(plan.migrate(from_version, &from_columns, states))));
                    migrated.unwrap_or_else(|_| {
                        Err(Refusal::BadInput("states were to be migrated before `open`".into()))
                    })
                }
            }
            $crate::bindings::aggregate::export_aggregate_world!(
                Exported with_types_in $crate::bindings::aggregate
            );
        };
    };
}
