//! A comparison of two sets of rows as lines of text.

use serde_json::Value;

use super::checkpoint::plain;

/// The lines of a comparison of rows of these two kinds.
pub fn comparison_lines(of: &Value, [old, new]: [&str; 2]) -> String {
    let mut text = format!(
        "rows: {} in both, {} only {old}, {} only {new}\n",
        of["both"], of["only_old"], of["only_new"]
    );
    for (names, side) in [("only_old_columns", old), ("only_new_columns", new)] {
        for name in items(&of[names]) {
            text += &format!("column {}: only {side}\n", plain(name));
        }
    }
    for column in items(&of["columns"]) {
        text += &column_line(column);
    }
    for example in items(&of["examples"]) {
        text += &example_line(example, [old, new]);
    }
    text
}

fn column_line(of: &Value) -> String {
    let (differing, last_bits) = (number(&of["differing"]), number(&of["last_bits"]));
    let types = items(&of["types"]).iter().map(plain).collect::<Vec<_>>();
    let types = if types.is_empty() { String::new() } else { format!(" (of type {})", types.join(" and ")) };
    let bits = if last_bits > 0 { format!(", {last_bits} in the last bits alone") } else { String::new() };
    format!(
        "column {}: {} the same, {} differ{bits}{types}\n",
        plain(&of["column"]),
        of["equal"],
        differing - last_bits
    )
}

fn example_line(of: &Value, [old, new]: [&str; 2]) -> String {
    let key = of["key"].as_object().into_iter().flatten();
    let key = key.map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join(" ");
    match of["what"].as_str() {
        Some("value") => {
            format!(
                "  {key} {}: {} {old}, {} {new}\n",
                plain(&of["column"]),
                plain(&of["old"]),
                plain(&of["new"])
            )
        }
        Some("only_old") => format!("  {key}: only {old}\n"),
        _ => format!("  {key}: only {new}\n"),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
