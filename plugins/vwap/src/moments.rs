//! An accumulator of its own: weight, weighted mean and weighted squares about the mean.
//!
//! The squares are kept about the running mean (West's update, Chan's merge), never as a
//! difference of two large sums, and the mean as its distance from one of the values. So
//! prices far from zero with a small spread keep their digits.

use speed_layer_sdk::prelude::*;

/// The weighted mean and spread of one column by the weights of another. Four words of state.
#[derive(Clone, Debug)]
pub struct WeightedMoments {
    value: String,
    weight: String,
}

impl WeightedMoments {
    /// Of the f64 columns with these names.
    pub fn of(value: &str, weight: &str) -> Self {
        WeightedMoments { value: value.to_owned(), weight: weight.to_owned() }
    }
}

/// The state of one group; without rows all are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moments {
    weight: f64,
    /// One of the values.
    origin: f64,
    /// The mean less the origin.
    offset: f64,
    /// The weighted sum of squared distances from the mean.
    squares: f64,
}

impl Moments {
    #[inline]
    fn with(self, value: f64, weight: f64) -> Moments {
        if self.weight == 0.0 {
            return Moments { weight, origin: value, offset: 0.0, squares: 0.0 };
        }
        let total = self.weight + weight;
        let distance = value - self.origin;
        let delta = distance - self.offset;
        let offset = self.offset + delta * (weight / total);
        let squares = self.squares + weight * delta * (distance - offset);
        Moments { weight: total, offset, squares, ..self }
    }

    fn merged(self, other: Moments) -> Moments {
        if other.weight == 0.0 {
            return self;
        }
        if self.weight == 0.0 {
            return other;
        }
        let total = self.weight + other.weight;
        let delta = (other.origin - self.origin) + (other.offset - self.offset);
        let shift = delta * (other.weight / total);
        let squares = self.squares + other.squares + self.weight * delta * shift;
        Moments { weight: total, offset: self.offset + shift, squares, ..self }
    }

    fn mean(self) -> f64 {
        self.origin + self.offset
    }

    fn deviation(self) -> f64 {
        (self.squares / self.weight).sqrt()
    }
}

/// The columns of the state, to change.
struct States<'a> {
    weight: &'a mut [f64],
    origin: &'a mut [f64],
    offset: &'a mut [f64],
    squares: &'a mut [f64],
}

impl<'a> States<'a> {
    fn of(state: &'a mut [Column]) -> Result<Self, Failure> {
        let [weight, origin, offset, squares] = state else {
            return Err(Failure::StopJob("the state of weighted moments has four columns".into()));
        };
        Ok(States {
            weight: values_mut(&mut weight.data)?,
            origin: values_mut(&mut origin.data)?,
            offset: values_mut(&mut offset.data)?,
            squares: values_mut(&mut squares.data)?,
        })
    }

    #[inline]
    fn change(&mut self, group: usize, next: impl FnOnce(Moments) -> Moments) {
        let state = next(Moments {
            weight: self.weight[group],
            origin: self.origin[group],
            offset: self.offset[group],
            squares: self.squares[group],
        });
        self.weight[group] = state.weight;
        self.origin[group] = state.origin;
        self.offset[group] = state.offset;
        self.squares[group] = state.squares;
    }
}

/// The states of all groups, to read.
fn read(state: &[Column]) -> Result<impl Iterator<Item = Moments> + '_, Failure> {
    let column = |number: usize| View::<f64>::of(&state[number]).map(|view| view.values());
    let (weight, origin, offset, squares) = (column(0)?, column(1)?, column(2)?, column(3)?);
    let moments = |group: usize| Moments {
        weight: weight[group],
        origin: origin[group],
        offset: offset[group],
        squares: squares[group],
    };
    Ok((0..weight.len()).map(moments))
}

/// Whether a weight counts.
#[inline]
fn counts(weight: f64) -> bool {
    weight > 0.0 && weight.is_finite()
}

impl Accumulator for WeightedMoments {
    fn inputs(&self) -> Vec<Input> {
        [&self.value, &self.weight].map(|name| Input::Column(name.clone(), DataType::F64)).to_vec()
    }

    fn state(&self) -> Vec<StateColumn> {
        let zero = |suffix| StateColumn::from(suffix, DataType::F64, ColumnData::F64(vec![0.0]));
        ["weight", "origin", "offset", "squares"].map(zero).to_vec()
    }

    fn outputs(&self, name: &str) -> Vec<Field> {
        ["vwap", "price_stddev", "weight"].map(|of| field(format!("{name}_{of}"), DataType::F64)).to_vec()
    }

    fn update(&self, inputs: &[&Column], pairs: Pairs<'_>, state: &mut [Column]) -> Result<(), Failure> {
        let weights = View::<f64>::of(inputs[1])?;
        let mut states = States::of(state)?;
        pairs.each_value(View::<f64>::of(inputs[0])?, |row, group, value| {
            if let Some(weight) = weights.get(row).filter(|&weight| counts(weight)) {
                states.change(group, |state| state.with(value, weight));
            }
        });
        Ok(())
    }

    fn merge(&self, left: &mut [Column], right: &[Column]) -> Result<(), Failure> {
        let mut states = States::of(left)?;
        for (group, other) in read(right)?.enumerate() {
            states.change(group, |state| state.merged(other));
        }
        Ok(())
    }

    fn finish(&self, state: &[Column], _: &Closing<'_>, _: &mut Notes) -> Result<Vec<Column>, Failure> {
        let (mut means, mut deviations, mut weights) =
            <(Builder<f64>, Builder<f64>, Builder<f64>)>::default();
        for state in read(state)? {
            let state = (state.weight > 0.0).then_some(state);
            means.push(state.map(Moments::mean));
            deviations.push(state.map(Moments::deviation));
            weights.push(state.map(|state| state.weight));
        }
        Ok(vec![means.finish(), deviations.finish(), weights.finish()])
    }
}
