//! A guest for tests: a transform that passes everything on and stumbles over some prices, or is up to a mischief in
//! one call.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::prelude::*;
use stumbles::mischief::{Action, misbehave};

/// The transform; see the crate's own words.
#[derive(Debug)]
pub struct PoisonTransform {
    input: Schema,
}

impl Transform for PoisonTransform {
    fn configure(_: &mut Config, input: &Schema) -> Result<Self, Refusal> {
        require(input, "price", DataType::F64, "poison-transform")?;
        Ok(Self { input: input.clone() })
    }

    fn describe(&self) -> TransformDescription {
        misbehave("describe");
        let needs = vec![Need::Column("price".to_owned())];
        TransformDescription { needs, always_needs: vec![0], output: pass_on_all(&self.input) }
    }

    fn open(&mut self, _given: &[u32], _wanted: &[u32]) -> Result<(), Refusal> {
        match misbehave("open") {
            Action::Refuse => Err(Refusal::BadInput("poison-transform refuses".into())),
            _ => Ok(()),
        }
    }

    fn transform(&mut self, _: &Context, rows: Batch) -> Result<Transformed, Failure> {
        let action = misbehave("transform");
        match action {
            Action::Refuse => return Err(Failure::StopJob("poison-transform stops".into())),
            Action::Retry => return Err(Failure::RetryBatch("poison-transform wants it again".into())),
            _ => {}
        }
        let prices = View::<f64>::of(&rows.columns[0])?;
        let mut miscounts = action == Action::Miscount;
        for row in 0..rows.rows as usize {
            miscounts |= prices.get(row).is_some_and(stumbles::stumble);
        }
        let rows = Batch { rows: rows.rows + u32::from(miscounts), columns: vec![] };
        Ok(Transformed { rows, kept: None, rejects: RejectsBuilder::default().finish() })
    }
}

export_transform!(PoisonTransform);
