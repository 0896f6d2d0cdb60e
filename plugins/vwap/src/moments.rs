//! An accumulator of its own: weight, weighted mean and weighted squares about the mean.
//!
//! The squares are kept about the running mean (West's update, Chan's merge), never as a
//! difference of two large sums, so prices far from zero with a small spread keep their
//! digits.

use speed_layer_sdk::prelude::*;

/// The weighted mean and spread of one column by the weights of another. Three words of state.
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

/// The state of one group; without rows all three are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moments {
    weight: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    #[inline]
    fn with(self, value: f64, weight: f64) -> Moments {
        let total = self.weight + weight;
        let delta = value - self.mean;
        let shift = delta * (weight / total);
        Moments {
            weight: total,
            mean: self.mean + shift,
            squares: self.squares + self.weight * delta * shift,
        }
    }

    fn merged(self, other: Moments) -> Moments {
        if other.weight == 0.0 {
            return self;
        }
        if self.weight == 0.0 {
            return other;
        }
        let total = self.weight + other.weight;
        let delta = other.mean - self.mean;
        let shift = delta * (other.weight / total);
        Moments {
            weight: total,
            mean: self.mean + shift,
            squares: self.squares + other.squares + self.weight * delta * shift,
        }
    }

    fn deviation(self) -> f64 {
        (self.squares / self.weight).sqrt()
    }
}

/// The three columns of the state, to change.
struct States<'a> {
    weight: &'a mut [f64],
    mean: &'a mut [f64],
    squares: &'a mut [f64],
}

impl<'a> States<'a> {
    fn of(state: &'a mut [Column]) -> Result<Self, Failure> {
        let [weight, mean, squares] = state else {
            return Err(Failure::StopJob("the state of weighted moments has three columns".into()));
        };
        Ok(States {
            weight: values_mut(&mut weight.data)?,
            mean: values_mut(&mut mean.data)?,
            squares: values_mut(&mut squares.data)?,
        })
    }

    #[inline]
    fn change(&mut self, group: usize, next: impl FnOnce(Moments) -> Moments) {
        let state =
            Moments { weight: self.weight[group], mean: self.mean[group], squares: self.squares[group] };
        let state = next(state);
        (self.weight[group], self.mean[group], self.squares[group]) =
            (state.weight, state.mean, state.squares);
    }
}

/// The states of all groups, to read.
fn read(state: &[Column]) -> Result<impl Iterator<Item = Moments> + '_, Failure> {
    let [weight, mean, squares] = [0, 1, 2].map(|column| View::<f64>::of(&state[column]));
    let (weight, mean, squares) = (weight?.values(), mean?.values(), squares?.values());
    let rows = weight.iter().zip(mean).zip(squares);
    Ok(rows.map(|((&weight, &mean), &squares)| Moments { weight, mean, squares }))
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
        ["weight", "mean", "squares"].map(zero).to_vec()
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
        let [mut means, mut deviations, mut weights] =
            [const { None }; 3].map(|_: Option<()>| Builder::<f64>::default());
        for state in read(state)? {
            let state = (state.weight > 0.0).then_some(state);
            means.push(state.map(|state| state.mean));
            deviations.push(state.map(Moments::deviation));
            weights.push(state.map(|state| state.weight));
        }
        Ok(vec![means.finish(), deviations.finish(), weights.finish()])
    }
}
