//! Which rows stay, and what is refused.

use min_price::MinPrice;
use speed_layer_sdk::prelude::*;
use speed_layer_sdk::transform::{configure, open};

fn input() -> Schema {
    schema([field("symbol", DataType::Utf8), field("price", DataType::F64)])
}

fn check(config: &str, prices: &[Option<f64>], kept: Option<&[u32]>) {
    let mut builder = Builder::<f64>::default();
    prices.iter().for_each(|&price| builder.push(price));
    let batch = Batch { rows: prices.len() as u32, columns: vec![builder.finish()] };
    let context = Context { epoch: 1, closed_through_ms: None, epoch_began_ms: 0 };
    let done = open::<MinPrice>(config, &input(), &[0], &[]).unwrap().transform(&context, batch).unwrap();
    assert_eq!(done.kept.as_deref(), kept, "{config} {prices:?}");
    assert_eq!(done.rows.rows as usize, kept.map_or(prices.len(), <[u32]>::len));
    assert!(done.rejects.rows.is_empty());
}

#[test]
fn rows_with_a_price_of_at_least_the_minimum_stay() {
    check("{}", &[Some(0.0), Some(-0.5), None, Some(f64::NAN), Some(3.0)], Some(&[0, 4]));
    check("{}", &[Some(1.0), Some(2.0)], None);
    check("{}", &[None], Some(&[]));
    check("{}", &[], None);
    check(r#"{"min": 2.5}"#, &[Some(2.0), Some(2.5), Some(f64::INFINITY)], Some(&[1, 2]));
}

#[test]
fn every_column_is_passed_on_and_another_can_be_named() {
    let origins = |config: &str, input: &Schema| {
        let output = configure::<MinPrice>(config, input).unwrap().describe().output;
        output.into_iter().map(|column| column.origin).collect::<Vec<_>>()
    };
    assert_eq!(origins("{}", &input()), [Origin::PassedOn(0), Origin::PassedOn(1)]);
    let volume = schema([field("volume", DataType::F64)]);
    assert_eq!(origins(r#"{"column": "volume"}"#, &volume), [Origin::PassedOn(0)]);
    assert!(matches!(configure::<MinPrice>("{}", &volume), Err(Refusal::BadInput(_))));
    assert!(matches!(configure::<MinPrice>(r#"{"min": "x"}"#, &input()), Err(Refusal::BadConfig(_))));
}
