//! The rows of an answer as text or bytes.

use std::io::{ErrorKind, Write};
use std::sync::Arc;

use anyhow::bail;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::pretty::pretty_format_batches_with_schema;
use arrow_schema::DataType;
use speed_layer_sql::Answer;

use super::Format;

/// Writes every row as it comes; a table needs all of them, of which it holds `bytes_max`.
pub fn write(
    format: Format,
    answer: Answer<'_>,
    bytes_max: usize,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    match format {
        Format::Table => table(answer, bytes_max, out),
        Format::Csv => {
            let mut csv = arrow_csv::WriterBuilder::new().with_header(true).build(out);
            let header = RecordBatch::new_empty(Arc::clone(&answer.schema));
            csv.write(&header)?;
            answer.into_iter().try_for_each(|rows| Ok(csv.write(&rows?)?))
        }
        Format::Json => {
            let mut json = arrow_json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow_json::writer::LineDelimited>(out);
            answer.into_iter().try_for_each(|rows| Ok(json.write(&rows?)?))
        }
        Format::Arrow => {
            let mut arrow = arrow_ipc::writer::StreamWriter::try_new(out, &answer.schema)?;
            answer.into_iter().try_for_each(|rows| anyhow::Ok(arrow.write(&rows?)?))?;
            Ok(arrow.finish()?)
        }
    }
}

/// A reader that has read enough, such as `head`, is no failure.
pub fn unless_unread(written: anyhow::Result<()>) -> anyhow::Result<()> {
    written.or_else(|error| {
        let is_unread = error.chain().any(|cause| {
            cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
        });
        if is_unread { Ok(()) } else { Err(error) }
    })
}

fn table(answer: Answer<'_>, bytes_max: usize, out: &mut impl Write) -> anyhow::Result<()> {
    let schema = Arc::clone(&answer.schema);
    let (mut all, mut bytes) = (Vec::new(), 0);
    for rows in answer {
        let rows = printable(&rows?)?;
        bytes += rows.get_array_memory_size();
        if bytes > bytes_max {
            bail!(
                "the rows take more than {bytes_max} bytes as a table; ask for fewer with LIMIT, or have them written as \
                 they come with --format csv"
            );
        }
        all.push(rows);
    }
    let schema = all.first().map_or(schema, RecordBatch::schema);
    Ok(writeln!(out, "{}", pretty_format_batches_with_schema(schema, &all)?)?)
}

/// The rows with texts that a terminal shows as they are: somebody else's data has no say over it.
fn printable(rows: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let columns = rows.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8 => printable_texts(column),
        _ => Arc::clone(column),
    });
    Ok(RecordBatch::try_new(rows.schema(), columns.collect())?)
}

fn printable_texts(column: &ArrayRef) -> ArrayRef {
    let texts = column.as_string::<i32>();
    if !texts.value_data().iter().any(u8::is_ascii_control) && texts.value_data().is_ascii() {
        return Arc::clone(column);
    }
    let printable = texts.iter().map(|text| Some(text?.chars().flat_map(shown).collect::<String>()));
    Arc::new(printable.collect::<StringArray>())
}

fn shown(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{Field, Schema};

    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown_as_an_escape() {
        let texts: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a\u{1b}[2J"), None, Some("größe\n\u{9b}1m")]));
        let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
        let rows = printable(&RecordBatch::try_new(schema, vec![texts]).unwrap()).unwrap();
        let shown: Vec<_> = rows.column(0).as_string::<i32>().iter().collect();
        assert_eq!(shown, [Some("a\\u{1b}[2J"), None, Some("größe\\n\\u{9b}1m")]);
    }
}
