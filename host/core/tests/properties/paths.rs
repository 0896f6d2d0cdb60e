//! Hive paths: what is escaped, what has no path, and that all else reads back.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema};
use speed_layer_core::path::{
    COMPONENT_BYTES_MAX, HASHED_PREFIX, HIVE_DEFAULT_PARTITION, KeyUnpathable, component, escape,
    kept_path_of, parse_component, path_of, unescape, unpathable_rows,
};

use crate::prng::Prng;

#[test]
fn texts_are_escaped_as_hive_escapes_them() {
    let check = |text: &str, escaped: &str| {
        assert_eq!(escape(text), escaped);
        assert_eq!(unescape(escaped), text);
    };
    check("BTCUSDT", "BTCUSDT");
    check("BTC/USDT", "BTC%2FUSDT");
    check("1000PEPE:USDT", "1000PEPE%3AUSDT");
    check("hello world", "hello world");
    check("\u{1}\t\n\u{1f}\u{7f}", "%01%09%0A%1F%7F");
    check("\"#%'*/:=?\\{[]^", "%22%23%25%27%2A%2F%3A%3D%3F%5C%7B%5B%5D%5E");
    check("}.,&+$-_<>|~!@()`;é漢🦀", "}.,&+$-_<>|~!@()`;é漢🦀");
    check("..", "..");
    check("a\0b", "a%00b");
}

#[test]
fn a_stray_percent_sign_stands_for_itself() {
    let check = |escaped: &str, text: &str| assert_eq!(unescape(escaped), text);
    check("%", "%");
    check("%4", "%4");
    check("%4g%+1% 1", "%4g%+1% 1");
    check("%2f%2F", "//");
    check("%é", "%é");
    check("100%%25", "100%%");
    check("%C3%A9", "%C3%A9");
}

#[test]
fn a_component_reads_back_or_there_is_none() {
    let mut prng = Prng::new(4);
    for _ in 0..20_000 {
        let (column, text) = (format!("k{}", prng.text()), prng.text());
        let value = (!prng.one_in(10)).then_some(text.as_str());
        match component(&column, value) {
            Ok(made) => {
                let read = parse_component(&made).unwrap();
                assert_eq!((read.0.as_str(), read.1.as_deref()), (column.as_str(), value));
                assert!(!made.bytes().any(|byte| byte == b'/' || byte < 0x20 || byte == 0x7F), "{made:?}");
                assert!(made.len() <= COMPONENT_BYTES_MAX);
            }
            Err(reason) => assert_eq!((value, reason), (Some(""), KeyUnpathable::Empty { column })),
        }
    }
}

#[test]
fn what_cannot_be_a_component_is_refused() {
    let fits = "x".repeat(COMPONENT_BYTES_MAX - "symbol=".len());
    assert_eq!(component("symbol", Some(&fits)).unwrap().len(), COMPONENT_BYTES_MAX);
    assert_eq!(component("symbol", None).unwrap(), "symbol=__HIVE_DEFAULT_PARTITION__");
    let check = |text: &str, message: &str| {
        let reason = component("symbol", Some(text)).unwrap_err().to_string();
        assert!(reason.starts_with("key column \"symbol\"") && reason.contains(message), "{reason}");
    };
    check("", "is an empty text");
    check(HIVE_DEFAULT_PARTITION, "is the path of null");
    check(&format!("{fits}x"), "256 bytes, more than 255");
    check(&"/".repeat(83), "256 bytes, more than 255");
}

fn keys() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("symbol", Arc::new(StringArray::from(vec![Some("A/B"), Some("..")]))),
        ("flag", Arc::new(BooleanArray::from(vec![true, false]))),
        ("n", Arc::new(Int64Array::from(vec![Some(-5), None]))),
        ("date", Arc::new(Date32Array::from(vec![-1, 19_782]))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![1_709_251_199_000_000, 1]).with_timezone("UTC")),
        ),
        ("price", Arc::new(Decimal128Array::from(vec![1_234, -5]).with_precision_and_scale(10, 2).unwrap())),
    ];
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<Field>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

#[test]
fn every_type_has_the_name_that_spark_gives_it() {
    assert_eq!(
        path_of(&keys(), 0).unwrap(),
        "symbol=A%2FB/flag=true/n=-5/date=1969-12-31/at=2024-02-29 23%3A59%3A59/price=12.34"
    );
    assert_eq!(
        path_of(&keys(), 1).unwrap(),
        "symbol=../flag=false/n=__HIVE_DEFAULT_PARTITION__/date=2024-02-29/at=1970-01-01 00%3A00%3A00.000001/price=-0.05"
    );
}

#[test]
fn the_rows_without_a_path_are_found() {
    let long = "漢".repeat(90);
    let texts = vec![Some("A"), Some(""), None, Some(HIVE_DEFAULT_PARTITION), Some(&long), Some("....")];
    let column: ArrayRef = Arc::new(StringArray::from(texts));
    let names = ["symbol".to_owned(), "other".to_owned()];
    let rows = |columns: &[ArrayRef]| -> Vec<u32> {
        unpathable_rows(&names, columns).iter().map(|(row, _)| *row).collect()
    };
    assert_eq!(rows(std::slice::from_ref(&column)), [1, 3, 4]);
    assert_eq!(rows(&[column.slice(0, 1)]), [0; 0]);
    let numbered: DictionaryArray<UInt32Type> = column.as_string::<i32>().iter().collect();
    assert_eq!(rows(&[Arc::new(numbered)]), [1, 3, 4]);
    assert_eq!(rows(&[Arc::new(Date32Array::from(vec![Some(0), Some(i32::MAX), None]))]), [1]);
    let instants = vec![i64::MIN, 0, i64::MAX, -62_135_596_800_000_000];
    assert_eq!(rows(&[Arc::new(TimestampMicrosecondArray::from(instants))]), [0, 2]);
    assert_eq!(unpathable_rows(&["k".repeat(253)], &[Arc::new(Int64Array::from(vec![0; 3]))]), []);
    let too_wide = unpathable_rows(&["k".repeat(253)], &[Arc::new(Int64Array::from(vec![5, 10]))]);
    assert_eq!(too_wide.iter().map(|(row, _)| *row).collect::<Vec<u32>>(), [1]);
    let other: ArrayRef = Arc::new(StringArray::from(vec!["", "", "x", "x", "x", "x"]));
    assert_eq!(rows(&[column, other]), [0, 1, 3, 4]);
}

#[test]
fn a_key_that_its_file_holds_has_a_path_whatever_it_is() {
    let long = "x".repeat(249);
    let hashed = format!("{HASHED_PREFIX}1");
    let texts = [Some("A/B"), None, Some(""), Some(HIVE_DEFAULT_PARTITION), Some(&long), Some(&hashed)];
    let days = [19_782, 0, i32::MAX, i32::MIN, 0, 0];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("symbol", Arc::new(StringArray::from(texts.to_vec()))),
        ("date", Arc::new(Date32Array::from(days.to_vec()))),
    ];
    let keys =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let digest = |text: &str| format!("digest of {} bytes", text.len());
    let paths: Vec<String> = (0..texts.len()).map(|row| kept_path_of(&keys, row, digest).unwrap()).collect();
    let hash = |bytes: usize| format!("{HASHED_PREFIX}digest of {bytes} bytes");
    let expected = [
        "symbol=A%2FB/date=2024-02-29".to_owned(),
        format!("symbol={HIVE_DEFAULT_PARTITION}/date=1970-01-01"),
        format!("symbol={}/date={}", hash(0), hash(10)),
        format!("symbol={}/date={}", hash(26), hash(11)),
        format!("symbol={}/date=1970-01-01", hash(249)),
        format!("symbol={}/date=1970-01-01", hash(9)),
    ];
    assert_eq!(paths, expected);
    for (row, path) in paths.iter().enumerate().take(2) {
        assert_eq!(*path, path_of(&keys, row).unwrap(), "a key with a path keeps it");
    }
    let name = "k".repeat(COMPONENT_BYTES_MAX);
    let column: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let keys = RecordBatch::try_from_iter([(name.as_str(), column)]).unwrap();
    assert!(matches!(kept_path_of(&keys, 0, digest), Err(KeyUnpathable::TooLong { .. })));
}
