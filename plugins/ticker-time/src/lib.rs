//! Makes a timestamp, a date and an hour of the day from event times: a transform.
//!
//! Setting: `event_time`, the s64 column of milliseconds since 1970 UTC (`event_time` by
//! default). Outputs: every input column as it is, never seen here, then `event_timestamp`
//! (timestamp-us), `date` (date32) and `hour` (s32, 0 to 23), all UTC and rounded down, also
//! before 1970. A null event time gives three nulls.
//!
//! A time that does not fit microseconds in 64 bits is rejected as `out-of-range`, whichever
//! of the outputs are wanted.
//!
//! ```
//! use speed_layer_sdk::prelude::*;
//!
//! let input = schema([required("event_time", DataType::S64)]);
//! let transform = speed_layer_sdk::transform::open::<ticker_time::TickerTime>("{}", &input, &[0], &[1, 2, 3]);
//! let output = transform.unwrap().describe().output;
//! let names: Vec<_> = output.iter().map(|column| column.field.name.as_str()).collect();
//! assert_eq!(names, ["event_time", "event_timestamp", "date", "hour"]);
//! ```

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use speed_layer_sdk::prelude::*;

const US_PER_MS: i64 = 1_000;
const MS_PER_HOUR: i64 = 3_600_000;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;

/// The transform; see the crate's own words.
#[derive(Debug)]
pub struct TickerTime {
    event_time: String,
    nullable: bool,
    input: Schema,
    wanted: Vec<Computed>,
}

/// A column that is made here.
#[derive(Clone, Copy, Debug)]
enum Computed {
    EventTimestamp,
    Date,
    Hour,
}

impl Computed {
    const ALL: [Computed; 3] = [Computed::EventTimestamp, Computed::Date, Computed::Hour];

    fn field(self, nullable: bool) -> Field {
        let (name, data_type) = match self {
            Computed::EventTimestamp => ("event_timestamp", DataType::TimestampUs),
            Computed::Date => ("date", DataType::Date32),
            Computed::Hour => ("hour", DataType::S32),
        };
        Field { name: name.to_owned(), data_type, nullable }
    }

    /// The column from times that fit, in milliseconds.
    fn column(self, times_ms: &[Option<i64>]) -> Column {
        match self {
            Computed::EventTimestamp => build(times_ms, |ms| ms * US_PER_MS).finish_timestamp_us(),
            Computed::Date => build(times_ms, |ms| ms.div_euclid(MS_PER_DAY) as i32).finish_date32(),
            Computed::Hour => build(times_ms, |ms| (ms.rem_euclid(MS_PER_DAY) / MS_PER_HOUR) as i32).finish(),
        }
    }
}

fn build<T: Value>(times_ms: &[Option<i64>], convert: impl Fn(i64) -> T) -> Builder<T> {
    let mut builder = Builder::with_capacity(times_ms.len());
    times_ms.iter().for_each(|time| builder.push(time.map(&convert)));
    builder
}

/// Whether a time can be told in microseconds.
fn fits(time_ms: Option<i64>) -> bool {
    time_ms.is_none_or(|ms| ms.checked_mul(US_PER_MS).is_some())
}

impl Transform for TickerTime {
    fn configure(config: &mut Config, input: &Schema) -> Result<Self, Refusal> {
        let event_time = config.text("event_time", "event_time")?;
        let source = require(input, &event_time, DataType::S64, "ticker-time")?;
        for made in Computed::ALL.map(|computed| computed.field(true).name) {
            if position(input, &made).is_some() {
                return Err(Refusal::BadInput(format!(
                    "the input has a column {made:?} already, which ticker-time makes"
                )));
            }
        }
        let nullable = source.is_none_or(|field| field.nullable);
        Ok(TickerTime { event_time, nullable, input: input.clone(), wanted: vec![] })
    }

    fn describe(&self) -> TransformDescription {
        let made = Computed::ALL.map(|computed| OutputColumn {
            field: computed.field(self.nullable),
            origin: Origin::Computed(vec![0]),
        });
        let output = pass_on_all(&self.input).into_iter().chain(made).collect();
        TransformDescription {
            needs: vec![Need::Column(self.event_time.clone())],
            always_needs: vec![0],
            output,
        }
    }

    fn open(&mut self, _given: &[u32], wanted: &[u32]) -> Result<(), Refusal> {
        let passed_on = self.input.fields.len();
        self.wanted = wanted.iter().map(|&number| Computed::ALL[number as usize - passed_on]).collect();
        Ok(())
    }

    fn transform(&mut self, _: &Context, rows: Batch) -> Result<Transformed, Failure> {
        let times = View::<i64>::of(&rows.columns[0])?;
        let mut times_ms: Vec<Option<i64>> = (0..rows.rows as usize).map(|row| times.get(row)).collect();
        let mut rejects = RejectsBuilder::default();
        for (row, time_ms) in (0..).zip(&times_ms) {
            if let Some(ms) = time_ms.filter(|_| !fits(*time_ms)) {
                let message =
                    format!("{} is {ms} ms, which microseconds in 64 bits cannot tell", self.event_time);
                rejects.push(row, "out-of-range", &message);
            }
        }
        let kept = (!rejects.is_empty()).then(|| kept_rows(&times_ms));
        times_ms.retain(|&time_ms| fits(time_ms));
        let columns = self.wanted.iter().map(|computed| computed.column(&times_ms)).collect();
        let rows = Batch { rows: times_ms.len() as u32, columns };
        Ok(Transformed { rows, kept, rejects: rejects.finish() })
    }
}

fn kept_rows(times_ms: &[Option<i64>]) -> Vec<u32> {
    (0..).zip(times_ms).filter(|(_, time_ms)| fits(**time_ms)).map(|(row, _)| row).collect()
}

export_transform!(TickerTime);
