//! The table of states against a plain list of rows.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use speed_layer_core::state::{StateError, StateLayout, StateTable};

use crate::prng::Prng;
use crate::random::{all_types, column};

/// Every type, with and without nulls.
fn schema() -> SchemaRef {
    let types = all_types().into_iter().flat_map(|data_type| [(data_type.clone(), true), (data_type, false)]);
    let field = |(at, (data_type, nullable))| Field::new(format!("s{at}"), data_type, nullable);
    Arc::new(Schema::new(types.enumerate().map(field).collect::<Vec<Field>>()))
}

fn rows(prng: &mut Prng, schema: &SchemaRef, rows: usize) -> RecordBatch {
    let columns = schema.fields().iter().map(|field| column(prng, field, rows)).collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

/// One row as text, so that dictionaries with other keys compare equal.
fn shown(batch: &RecordBatch, row: usize) -> Vec<String> {
    let show = |column: &ArrayRef| match column.data_type() {
        DataType::Dictionary(_, _) => {
            let typed = arrow_array::cast::as_dictionary_array::<arrow_array::types::UInt32Type>(column);
            let texts = typed.downcast_dict::<StringArray>().unwrap();
            let value = (!typed.is_null(row)).then(|| texts.values().value(typed.keys().value(row) as usize));
            format!("{value:?}")
        }
        _ => format!("{:?}", column.slice(row, 1)),
    };
    batch.columns().iter().map(show).collect()
}

fn check(table: &StateTable, slots: &[u32], expected: &[Vec<String>]) {
    let gathered = table.gather(slots).unwrap();
    assert_eq!(gathered.num_rows(), slots.len());
    for (row, slot) in slots.iter().enumerate() {
        assert_eq!(shown(&gathered, row), expected[*slot as usize], "slot {slot}");
    }
}

#[test]
fn what_is_scattered_is_gathered() {
    let mut prng = Prng::new(5);
    let schema = schema();
    let identity = rows(&mut prng, &schema, 1);
    let layout = Arc::new(StateLayout::new(schema.clone()).unwrap());
    let mut table = StateTable::new(layout, &identity).unwrap();
    let mut model = Vec::new();
    for _ in 0..60 {
        for _ in 0..prng.below(20) {
            assert_eq!(table.push_identity().unwrap() as usize, model.len());
            model.push(shown(&identity, 0));
        }
        let fresh_rows = prng.below(100);
        let fresh = rows(&mut prng, &schema, fresh_rows);
        let slots = table.append(&fresh).unwrap();
        assert_eq!(slots, (model.len() as u32..(model.len() + fresh_rows) as u32).collect::<Vec<u32>>());
        model.extend((0..fresh_rows).map(|row| shown(&fresh, row)));
        let slots: Vec<u32> = (0..model.len() as u32).filter(|_| prng.one_in(3)).collect();
        let states = rows(&mut prng, &schema, slots.len());
        table.scatter(&slots, &states).unwrap();
        slots.iter().enumerate().for_each(|(row, slot)| model[*slot as usize] = shown(&states, row));
        let slots: Vec<u32> =
            (0..prng.below(200).min(model.len())).map(|_| prng.below(model.len()) as u32).collect();
        check(&table, &slots, &model);
    }
    assert_eq!(table.len(), model.len());
    check(&table, &(0..model.len() as u32).collect::<Vec<u32>>(), &model);
}

#[test]
fn released_slots_are_given_out_again_and_begin_anew() {
    let mut prng = Prng::new(6);
    let schema = schema();
    let identity = rows(&mut prng, &schema, 1);
    let layout = Arc::new(StateLayout::new(schema.clone()).unwrap());
    let mut table = StateTable::new(layout, &identity).unwrap();
    let empty_bytes = table.bytes();
    table.append(&rows(&mut prng, &schema, 10)).unwrap();
    table.release(&[3, 7]).unwrap();
    assert_eq!(table.len(), 8);
    let again = [table.push_identity().unwrap(), table.push_identity().unwrap()];
    assert_eq!(again, [7, 3]);
    check(&table, &again, &vec![shown(&identity, 0); 10]);
    let mut other = table.new_empty();
    let copied = other.push_from(&table, 5).unwrap();
    assert_eq!(shown(&other.gather(&[copied]).unwrap(), 0), shown(&table.gather(&[5]).unwrap(), 0));
    table.release(&(0..10).collect::<Vec<u32>>()).unwrap();
    assert_eq!((table.len(), table.bytes()), (0, empty_bytes));
    other.clear();
    assert!(other.is_empty() && other.gather(&[0]).is_err());
}

#[test]
fn the_bytes_of_values_are_counted() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("sketch", DataType::Utf8, false)]));
    let batch = |text: &str| {
        RecordBatch::try_new(schema.clone(), vec![Arc::new(StringArray::from(vec![text]))]).unwrap()
    };
    let mut table = StateTable::new(Arc::new(StateLayout::new(schema.clone()).unwrap()), &batch("")).unwrap();
    let slot = table.push_identity().unwrap();
    let before = table.bytes();
    table.scatter(&[slot], &batch(&"x".repeat(1_000))).unwrap();
    assert_eq!((table.bytes() - before, table.state_bytes(slot)), (1_000, 1_004));
    table.scatter(&[slot], &batch("xyz")).unwrap();
    assert_eq!(table.bytes() - before, 3);
}

#[test]
fn states_of_no_columns_are_still_counted() {
    let schema: SchemaRef = Arc::new(Schema::empty());
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let identity = RecordBatch::try_new_with_options(schema.clone(), vec![], &one).unwrap();
    let mut table = StateTable::new(Arc::new(StateLayout::new(schema).unwrap()), &identity).unwrap();
    let slots = [table.push_identity().unwrap(), table.push_identity().unwrap()];
    assert_eq!(table.gather(&slots).unwrap().num_rows(), 2);
}

#[test]
fn states_that_do_not_fit_are_refused_and_change_nothing() {
    let field = |nullable| Field::new("count", DataType::Int64, nullable);
    let schema: SchemaRef = Arc::new(Schema::new(vec![field(false)]));
    let batch = |field: Field, column: ArrayRef| {
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap()
    };
    let counts = |counts: &[i64]| batch(field(false), Arc::new(Int64Array::from(counts.to_vec())));
    let layout = Arc::new(StateLayout::new(schema).unwrap());
    assert!(matches!(StateTable::new(layout.clone(), &counts(&[])), Err(StateError::RowCount { .. })));
    let mut table = StateTable::new(layout, &counts(&[0])).unwrap();
    table.append(&counts(&[7, 8])).unwrap();
    let null = batch(field(true), Arc::new(Int64Array::from(vec![None])));
    let text = batch(Field::new("count", DataType::Utf8, false), Arc::new(StringArray::from(vec!["a"])));
    assert!(matches!(table.scatter(&[0], &null), Err(StateError::Null { .. })));
    assert!(matches!(table.append(&text), Err(StateError::Column { .. })));
    assert!(matches!(table.scatter(&[0], &counts(&[1, 2])), Err(StateError::RowCount { .. })));
    assert!(matches!(table.scatter(&[2], &counts(&[1])), Err(StateError::Slot { slot: 2, slots: 2 })));
    assert!(matches!(table.gather(&[9]), Err(StateError::Slot { .. })));
    assert_eq!(
        table.gather(&[0, 1]).unwrap().column(0).as_ref(),
        &Int64Array::from(vec![7, 8]) as &dyn Array
    );
    let strange = Field::new("list", DataType::LargeUtf8, false);
    assert!(matches!(StateLayout::new(Arc::new(Schema::new(vec![strange]))), Err(StateError::Type { .. })));
}
