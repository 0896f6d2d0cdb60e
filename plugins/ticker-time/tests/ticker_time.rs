//! Dates and hours around the turns of days, rejects, and columns that nobody wants.

use speed_layer_sdk::prelude::*;
use speed_layer_sdk::transform::{configure, open};
use ticker_time::TickerTime;

const DAY_MS: i64 = 86_400_000;

fn input() -> Schema {
    schema([field("symbol", DataType::Utf8), field("event_time", DataType::S64)])
}

fn transformed(times_ms: &[Option<i64>], wanted: &[u32]) -> Transformed {
    let mut builder = Builder::<i64>::default();
    times_ms.iter().for_each(|&time| builder.push(time));
    let batch = Batch { rows: times_ms.len() as u32, columns: vec![builder.finish()] };
    let context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };
    open::<TickerTime>("{}", &input(), &[0], wanted).unwrap().transform(&context, batch).unwrap()
}

fn check(time_ms: Option<i64>, timestamp_us: Option<i64>, date: Option<i32>, hour: Option<i32>) {
    let columns = transformed(&[time_ms], &[2, 3, 4]).rows.columns;
    assert!(
        matches!(columns[0].data, ColumnData::TimestampUs(_))
            && matches!(columns[1].data, ColumnData::Date32(_))
    );
    let found = (
        View::<i64>::of(&columns[0]).unwrap().get(0),
        View::<i32>::of(&columns[1]).unwrap().get(0),
        View::<i32>::of(&columns[2]).unwrap().get(0),
    );
    assert_eq!(found, (timestamp_us, date, hour), "{time_ms:?}");
}

#[test]
fn dates_and_hours_are_rounded_down_also_before_1970() {
    check(Some(1_764_720_000_123), Some(1_764_720_000_123_000), Some(20_425), Some(0));
    check(Some(0), Some(0), Some(0), Some(0));
    check(Some(-1), Some(-1_000), Some(-1), Some(23));
    check(Some(-DAY_MS), Some(-DAY_MS * 1_000), Some(-1), Some(0));
    check(Some(-DAY_MS - 1), Some(-DAY_MS * 1_000 - 1_000), Some(-2), Some(23));
    check(Some(DAY_MS - 1), Some(DAY_MS * 1_000 - 1_000), Some(0), Some(23));
    check(Some(DAY_MS), Some(DAY_MS * 1_000), Some(1), Some(0));
    check(None, None, None, None);
    let last = i64::MAX / 1_000;
    check(Some(last), Some(last * 1_000), Some((last / DAY_MS) as i32), Some(4));
}

#[test]
fn a_time_that_microseconds_cannot_tell_is_rejected_whatever_is_wanted() {
    let times = [Some(1), Some(i64::MAX), None, Some(i64::MIN), Some(i64::MAX / 1_000 + 1)];
    for wanted in [&[][..], &[3], &[2, 3, 4]] {
        let result = transformed(&times, wanted);
        assert_eq!((result.kept, result.rejects.rows), (Some(vec![0, 2]), vec![1, 3, 4]));
        assert_eq!((result.rows.rows, result.rows.columns.len()), (2, wanted.len()));
        assert_eq!(result.rejects.kinds.data, "out-of-range".repeat(3).into_bytes());
    }
    assert_eq!(transformed(&times[..1], &[]).kept, None);
}

#[test]
fn every_input_column_is_passed_on_and_three_are_made() {
    let output = configure::<TickerTime>("{}", &input()).unwrap().describe().output;
    let origins: Vec<_> =
        output.iter().map(|column| (column.field.name.as_str(), column.origin.clone())).collect();
    let made = || Origin::Computed(vec![0]);
    let expected = [
        ("symbol", Origin::PassedOn(0)),
        ("event_time", Origin::PassedOn(1)),
        ("event_timestamp", made()),
        ("date", made()),
        ("hour", made()),
    ];
    assert_eq!(origins, expected);
}

#[test]
fn an_input_that_does_not_fit_is_refused() {
    let refused = |config: &str, input: &Schema| configure::<TickerTime>(config, input).err();
    assert!(matches!(refused(r#"{"event_time": "when"}"#, &input()), Some(Refusal::BadInput(_))));
    assert!(matches!(refused(r#"{"event_tim": "when"}"#, &input()), Some(Refusal::BadConfig(_))));
    let twice = schema([field("event_time", DataType::S64), field("hour", DataType::S32)]);
    let expected = "the input has a column \"hour\" already, which ticker-time makes";
    assert_eq!(refused("{}", &twice), Some(Refusal::BadInput(expected.to_owned())));
}
