//! The transform stage: columns in; columns, kept rows and rejects out.
//!
//! The trait has the contract's three steps; columns that a transform passes on are named in
//! its description and never reach it.

use crate::bindings::transform::exports::speed_layer::plugin::transform as contract;
use crate::config::Config;
use crate::types::{Batch, Context, Failure, Refusal, Schema};

pub use contract::Description as TransformDescription;
pub use contract::{Guest, Origin, OutputColumn, Transformed};

/// A transform. Exported with [`export_transform!`](crate::export_transform).
pub trait Transform: Sized + 'static {
    /// Reads the settings and the schema before it.
    ///
    /// # Errors
    /// `bad-config` or `bad-input`, saying what is wrong and what is expected.
    fn configure(config: &mut Config, input: &Schema) -> Result<Self, Refusal>;

    /// What it may want to be given, and what it gives.
    fn describe(&self) -> TransformDescription;

    /// Takes the numbers of the needs that each call brings, and of the outputs that are
    /// wanted and computed here (as numbered in the whole output), both rising.
    ///
    /// # Errors
    /// A refusal when that cannot be done.
    fn open(&mut self, given: &[u32], wanted: &[u32]) -> Result<(), Refusal>;

    /// Transforms a batch.
    ///
    /// # Errors
    /// Those that concern the whole batch; a bad row is a reject.
    fn transform(&mut self, context: &Context, rows: Batch) -> Result<Transformed, Failure>;
}

/// Configures a transform and refuses settings it does not know.
///
/// # Errors
/// The transform's own, and `bad-config` for an unknown setting.
pub fn configure<T: Transform>(config: &str, input: &Schema) -> Result<T, Refusal> {
    let mut config = Config::read(config)?;
    let plugin = T::configure(&mut config, input)?;
    config.finish()?;
    Ok(plugin)
}

/// Configures and opens a transform.
///
/// # Errors
/// Those of both.
pub fn open<T: Transform>(config: &str, input: &Schema, given: &[u32], wanted: &[u32]) -> Result<T, Refusal> {
    let mut plugin: T = configure(config, input)?;
    plugin.open(given, wanted)?;
    Ok(plugin)
}

/// Makes a component of the transform world from a [`Transform`].
#[macro_export]
macro_rules! export_transform {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::transform as stage;
            use $crate::types::{Batch, Context, Failure, Refusal, Schema};

            ::std::thread_local! {
                static OPEN: $crate::slot::Slot<$plugin> = const { $crate::slot::Slot::new() };
            }
            struct Exported;
            impl stage::Guest for Exported {
                fn describe(config: String, input: Schema) -> Result<stage::TransformDescription, Refusal> {
                    Ok(stage::Transform::describe(&stage::configure::<$plugin>(&config, &input)?))
                }
                fn open(
                    config: String,
                    input: Schema,
                    given: Vec<u32>,
                    wanted: Vec<u32>,
                ) -> Result<(), Refusal> {
                    OPEN.with(|slot| slot.open(stage::open(&config, &input, &given, &wanted)))
                }
                fn transform(context: Context, rows: Batch) -> Result<stage::Transformed, Failure> {
                    OPEN.with(|slot| slot.call(|plugin| stage::Transform::transform(plugin, &context, rows)))
                }
            }
            $crate::bindings::transform::export_transform_world!(
                Exported with_types_in $crate::bindings::transform
            );
        };
    };
}
