//! Records with and without the field that `ticker-json` does not know.

use speed_layer_sdk::parse::{NullableBytes, open};
use speed_layer_sdk::prelude::*;
use ticker_json_quantity::TickerJsonQuantity;

fn parsed(records: &[&str]) -> Parsed {
    let mut bytes = VarBytes { offsets: vec![0], data: vec![] };
    for record in records {
        bytes.data.extend_from_slice(record.as_bytes());
        bytes.offsets.push(bytes.data.len() as u32);
    }
    let value = Some(NullableBytes { validity: None, bytes });
    let batch = RawBatch { rows: records.len() as u32, key: None, value, headers: None, timestamps: None };
    let context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };
    open::<TickerJsonQuantity>("{}", &[1, 12]).unwrap().parse(&context, batch).unwrap()
}

#[test]
fn the_quantity_is_read_and_may_be_missing_and_has_to_be_a_number() {
    let parsed = parsed(&[
        r#"{"event_time": 1, "last_quantity": 0.25}"#,
        r#"{"event_time": 2}"#,
        r#"{"event_time": 3, "last_quantity": "0.25"}"#,
    ]);
    let quantities = View::<f64>::of(&parsed.rows.columns[1]).unwrap();
    assert_eq!([quantities.get(0), quantities.get(1)], [Some(0.25), None]);
    assert_eq!((parsed.rejects.rows, parsed.rejects.kinds.data), (vec![2], b"wrong-type".to_vec()));
}
