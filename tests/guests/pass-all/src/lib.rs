//! A guest for tests: a transform that passes everything on, for another one to be put in its place.
//!
//! It takes the settings of the transforms that the product has, so that a job's configuration fits both.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::prelude::*;

/// The transform; see the crate's own words.
#[derive(Debug)]
pub struct PassAll {
    input: Schema,
}

impl Transform for PassAll {
    fn configure(config: &mut Config, input: &Schema) -> Result<Self, Refusal> {
        for setting in ["column", "min", "event_time"] {
            config.value(setting);
        }
        Ok(PassAll { input: input.clone() })
    }

    fn describe(&self) -> TransformDescription {
        TransformDescription { needs: vec![], always_needs: vec![], output: pass_on_all(&self.input) }
    }

    fn open(&mut self, _given: &[u32], _wanted: &[u32]) -> Result<(), Refusal> {
        Ok(())
    }

    fn transform(&mut self, _: &Context, rows: Batch) -> Result<Transformed, Failure> {
        let rows = Batch { rows: rows.rows, columns: vec![] };
        Ok(Transformed { rows, kept: None, rejects: RejectsBuilder::default().finish() })
    }
}

export_transform!(PassAll);
