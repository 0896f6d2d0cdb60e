//! What a run beside the stream has found, as lines for people.

use serde_json::Value;

use super::checkpoint::plain;

/// How far it is.
pub fn progress_line(progress: &Value) -> String {
    format!(
        "beside the stream: {} of {} batches, {} records\n",
        progress["batches"], progress["batches_wanted"], progress["records"]
    )
}

/// The report of a swap that ran beside the stream.
pub fn lines(shadow: &Value) -> String {
    let verdict = if shadow["equal"] == true { "equal" } else { "different" };
    let mut text = format!(
        "beside the stream: {} batches, {} records: {verdict}\n  a record took {} ns of the old stages and {} ns of \
         the new ones\n",
        shadow["batches"], shadow["records"], shadow["old_ns_per_record"], shadow["new_ns_per_record"]
    );
    if let Some(rows) = shadow.get("rows") {
        text += &comparison("rows offered to the aggregates", rows);
    }
    text += &comparison("dead letters and late rows", &shadow["set_aside"]);
    for windows in list(&shadow["windows"]) {
        for (what, field) in [("closed windows", "closed"), ("open windows", "open"), ("notes", "notes")] {
            text +=
                &comparison(&format!("aggregate {}, {what}", plain(&windows["aggregate"])), &windows[field]);
        }
    }
    text
}

/// A comparison; nothing of one without rows.
fn comparison(what: &str, of: &Value) -> String {
    let [both, only_old, only_new] =
        ["both", "only_old", "only_new"].map(|name| of[name].as_u64().unwrap_or(0));
    if both + only_old + only_new == 0 {
        return String::new();
    }
    let mut text = format!("  {what}: {both} of both, {only_old} only old, {only_new} only new\n");
    let equal = list(&of["columns"]).filter(|column| column["differing"] == 0).count();
    text += &format!("    equal in {equal} columns\n");
    for column in list(&of["columns"]).filter(|column| column["differing"] != 0) {
        text += &format!(
            "    `{}`: {} equal, {} different\n",
            plain(&column["column"]),
            column["equal"],
            column["differing"]
        );
    }
    for (side, field) in [("old", "only_old_columns"), ("new", "only_new_columns")] {
        for column in list(&of[field]) {
            text += &format!("    `{}`: only {side}\n", plain(column));
        }
    }
    list(&of["examples"]).for_each(|of| text += &example(of));
    text
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

fn example(of: &Value) -> String {
    let key = of["key"].as_object().into_iter().flatten();
    let key = key.map(|(name, value)| format!("{name} {}", value_text(value))).collect::<Vec<_>>().join(", ");
    let what = match of["what"].as_str() {
        Some("only_old") => "only old".to_owned(),
        Some("only_new") => "only new".to_owned(),
        _ => {
            let side = |side: &str| match of[format!("{side}_bits")].as_str() {
                Some(bits) => format!("{} ({bits})", value_text(&of[side])),
                None => value_text(&of[side]),
            };
            format!("`{}` {} became {}", plain(&of["column"]), side("old"), side("new"))
        }
    };
    format!("    {key}: {what}\n")
}

fn value_text(of: &Value) -> String {
    if of.is_null() { "null".to_owned() } else { plain(of) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_told_by_column_with_examples_and_what_is_empty_is_left_out() {
        let none = json!({"both": 0, "only_old": 0, "only_new": 0, "columns": [], "examples": []});
        let closed = json!({
            "both": 40, "only_old": 1, "only_new": 0,
            "columns": [
                {"column": "low", "equal": 40, "differing": 0},
                {"column": "high", "equal": 39, "differing": 1},
            ],
            "only_old_columns": [], "only_new_columns": ["up_ticks"],
            "examples": [
                {"key": {"group": "symbol=A", "window_start": "2025-11-01T00:00:00Z"}, "what": "value",
                 "column": "high", "old": "0.0", "new": null, "old_bits": "0x0"},
                {"key": {"group": "symbol=B"}, "what": "only_old"},
            ],
        });
        let report = json!({
            "equal": false, "batches": 7, "records": 900, "old_ns_per_record": 300, "new_ns_per_record": 310,
            "set_aside": none, "windows": [{"aggregate": "daily", "closed": closed, "open": none, "notes": none}],
        });
        let expected = "\
beside the stream: 7 batches, 900 records: different
  a record took 300 ns of the old stages and 310 ns of the new ones
  aggregate daily, closed windows: 40 of both, 1 only old, 0 only new
    equal in 1 columns
    `high`: 39 equal, 1 different
    `up_ticks`: only new
    group symbol=A, window_start 2025-11-01T00:00:00Z: `high` 0.0 (0x0) became null
    group symbol=B: only old
";
        assert_eq!(lines(&report), expected);
    }
}
