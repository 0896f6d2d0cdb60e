//! A joined copy's file as `host file inspect` tells it: which files its rows are from.

use std::fmt::Write as _;

use serde_json::{Value, json};
use speed_layer_store::JoinedFile;

use crate::cli::checkpoint::plain;
use crate::cli::shown::{items, line, time};

pub fn report(file: &JoinedFile) -> Value {
    json!({
        "file": file.path.display().to_string(),
        "bytes": file.bytes,
        "rows": file.rows,
        "row_groups": file.row_groups,
        "created_by": file.created_by,
        "job": file.joined.job,
        "aggregate": file.joined.aggregate,
        "path": file.joined.path,
        "file_bytes": file.joined.file_bytes,
        "makers": file.joined.makers,
        "sources": file.joined.sources,
    })
}

pub fn table(report: &Value) -> String {
    let mut text = String::new();
    for name in ["file", "bytes", "rows", "row_groups", "created_by", "job", "aggregate", "path"] {
        line(&mut text, &name.replace('_', " "), &plain(&report[name]));
    }
    let sources = items(&report["sources"]);
    let _ = writeln!(text, "joined of the rows of {} files of {}:", sources.len(), plain(&report["path"]));
    for of in sources {
        let window = |at: usize| time(&json!(of["windows_us"][at].as_i64().map(|us| us.div_euclid(1000))));
        let _ = writeln!(text, "  {}", plain(&of["name"]));
        let told = format!("{}, windows from {} to {}", plain(&of["rows"]), window(0), window(1));
        line(&mut text, "    rows", &told);
        line(&mut text, "    sha256", &plain(&of["sha256"]));
        for range in items(&of["offsets"]) {
            let [topic, partition, lowest, cut] =
                ["topic", "partition", "lowest", "cut"].map(|name| plain(&range[name]));
            let told = format!("{topic} partition {partition}, offsets {lowest} up to {cut}, not inside");
            line(&mut text, "    records", &told);
        }
        let maker = of["maker"].as_u64().and_then(|at| usize::try_from(at).ok());
        let maker = maker
            .and_then(|at| items(&report["makers"]).get(at))
            .map_or(&Value::Null, |maker| &maker["plugins"]);
        for plugin in items(maker) {
            let told = format!("{} sha256:{}", plain(&plugin["name"]), plain(&plugin["digest"]));
            line(&mut text, "    plugin", &told);
        }
    }
    text
}
