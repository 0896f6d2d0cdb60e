//! Other programs read what we write. The environment's own check; the outputs' follow with the outputs.

use speed_layer_tests::python;

#[test]
fn the_three_readers_are_there() {
    let script =
        "import duckdb, polars, pyarrow, sys; print(sys.argv[1], duckdb.sql('select 42').fetchone()[0])";
    assert_eq!(python::run(script, &["answer"]).expect("the script runs").trim(), "answer 42");
}
