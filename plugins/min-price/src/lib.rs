//! Drops the rows whose price is null or below a minimum: a transform that filters.
//!
//! Settings: `column`, an f64 column (`price` by default), and `min`, the least that is kept (0 by
//! default); NaN is below every minimum. Outputs: every input column as it is, never seen here but for
//! the price. A row that is dropped is no fault, so it is no reject either: it is gone.
//!
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! let input = schema([field("symbol", DataType::Utf8), field("price", DataType::F64)]);
//! let transform = speed_layer_sdk::transform::open::<min_price::MinPrice>("{}", &input, &[0], &[]);
//! assert_eq!(transform.unwrap().describe().output.len(), 2);
//! ```

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::prelude::*;

/// The transform; see the crate's own words.
#[derive(Debug)]
pub struct MinPrice {
    column: String,
    min: f64,
    input: Schema,
}

impl Transform for MinPrice {
    fn configure(config: &mut Config, input: &Schema) -> Result<Self, Refusal> {
        let column = config.text("column", "price")?;
        let min = config.number("min", 0.0)?;
        require(input, &column, DataType::F64, "min-price")?;
        Ok(MinPrice { column, min, input: input.clone() })
    }

    fn describe(&self) -> TransformDescription {
        TransformDescription {
            needs: vec![Need::Column(self.column.clone())],
            always_needs: vec![0],
            output: pass_on_all(&self.input),
        }
    }

    fn open(&mut self, _given: &[u32], _wanted: &[u32]) -> Result<(), Refusal> {
        Ok(())
    }

    fn transform(&mut self, _: &Context, rows: Batch) -> Result<Transformed, Failure> {
        let prices = View::<f64>::of(&rows.columns[0])?;
        let is_kept = |row: &u32| prices.get(*row as usize).is_some_and(|price| price >= self.min);
        let kept: Vec<u32> = (0..rows.rows).filter(is_kept).collect();
        let all = kept.len() == rows.rows as usize;
        let rows = Batch { rows: kept.len() as u32, columns: vec![] };
        Ok(Transformed { rows, kept: (!all).then_some(kept), rejects: RejectsBuilder::default().finish() })
    }
}

export_transform!(MinPrice);
