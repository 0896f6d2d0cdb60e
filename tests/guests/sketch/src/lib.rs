//! A guest for measurements and tests: how many different values a column has, by HyperLogLog.
//!
//! Its state is one `binary` column of as many bytes as `registers` says (a power of two from
//! 16 to 65,536; 1,024 by default), one register a byte: what a sketch of kilobytes costs.
//! `column` is the f64 column, `price` by default. It is no product: small counts are not corrected.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::config::refusal;
use speed_layer_sdk::prelude::*;

/// Rises whenever the meaning or the shape of the state changes.
const STATE_VERSION: u32 = 1;

/// The aggregate; see the crate's own words.
#[derive(Debug)]
pub struct Sketch;

impl Aggregate for Sketch {
    fn plan(config: &mut Config, input: &Schema) -> Result<Plan, Refusal> {
        let column = config.text("column", "price")?;
        let registers = registers(config.number("registers", 1_024.0)?)?;
        let mut plan = Plan::new(STATE_VERSION, input);
        plan.add("registers", "distinct", HyperLogLog { column, registers })?;
        Ok(plan)
    }
}

export_aggregate!(Sketch);

fn registers(wanted: f64) -> Result<usize, Refusal> {
    let registers = wanted as usize;
    if registers as f64 != wanted || !registers.is_power_of_two() || !(16..=65_536).contains(&registers) {
        return Err(refusal(format!("`registers` has to be a power of two from 16 to 65536, not {wanted}")));
    }
    Ok(registers)
}

/// The greatest rank that each register saw, one byte each.
struct HyperLogLog {
    column: String,
    registers: usize,
}

impl HyperLogLog {
    fn raise(&self, sketch: &mut [u8], value: f64) {
        let hash = mixed(value.to_bits());
        let register = hash as usize % self.registers;
        let rank = 1 + (hash | 0xFFFF).leading_zeros() as u8;
        sketch[register] = sketch[register].max(rank);
    }

    fn estimate(&self, sketch: &[u8]) -> f64 {
        let registers = self.registers as f64;
        let sum: f64 = sketch.iter().map(|&rank| f64::from(rank)).map(|rank| (-rank).exp2()).sum();
        0.7213 / (1.0 + 1.079 / registers) * registers * registers / sum
    }
}

impl Accumulator for HyperLogLog {
    fn inputs(&self) -> Vec<Input> {
        vec![Input::Column(self.column.clone(), DataType::F64)]
    }

    fn state(&self) -> Vec<StateColumn> {
        let offsets = vec![0, self.registers as u32];
        let empty = VarBytes { offsets, data: vec![0; self.registers] };
        vec![StateColumn::from("", DataType::Binary, ColumnData::Binary(empty))]
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        vec![required(name, DataType::F64)]
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        let sketches = bytes_mut(&mut state[0])?;
        pairs.each_value(View::<f64>::of(inputs[0])?, |_, group, value| {
            self.raise(&mut sketches[group * self.registers..][..self.registers], value);
        });
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        let right = bytes(&right[0])?;
        bytes_mut(&mut left[0])?.iter_mut().zip(right).for_each(|(left, &right)| *left = right.max(*left));
        Ok(())
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, _: &mut Notes) -> Result<Vec<Column>, Failure> {
        let sketches = bytes(&state[0])?.chunks_exact(self.registers);
        let estimates = sketches.map(|sketch| self.estimate(sketch)).collect();
        Ok(vec![Column { validity: None, data: ColumnData::F64(estimates) }])
    }
}

/// All states' registers, one state after the other: each has as many.
fn bytes(column: &Column) -> Result<&[u8], Failure> {
    match &column.data {
        ColumnData::Binary(values) => Ok(&values.data),
        _ => Err(not_binary()),
    }
}

fn bytes_mut(column: &mut Column) -> Result<&mut [u8], Failure> {
    match &mut column.data {
        ColumnData::Binary(values) => Ok(&mut values.data),
        _ => Err(not_binary()),
    }
}

fn not_binary() -> Failure {
    Failure::StopJob("the state of a sketch is one binary column".into())
}

/// Spreads the bits of a value over all 64 (the finalizer of SplitMix64).
fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(registers: usize, values: u32) {
        let sketch = HyperLogLog { column: "price".into(), registers };
        let mut state = vec![0; registers];
        (0..values).for_each(|value| sketch.raise(&mut state, f64::from(value)));
        let error = sketch.estimate(&state) / f64::from(values) - 1.0;
        assert!(error.abs() < 4.0 / (registers as f64).sqrt(), "{registers} registers: {error}");
    }

    #[test]
    fn the_estimate_is_near_the_count() {
        check(1_024, 100_000);
        check(16_384, 1_000_000);
    }

    #[test]
    fn a_number_of_registers_that_cannot_be_is_refused() {
        for wanted in [0.0, 15.0, 1_000.0, 1_024.5, 131_072.0, -16.0] {
            assert!(matches!(registers(wanted), Err(Refusal::BadConfig(_))), "{wanted}");
        }
        assert_eq!(registers(16.0), Ok(16));
    }
}
