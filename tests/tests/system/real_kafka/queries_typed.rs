//! `host query` at a terminal: statements are typed at a prompt, and those of before are there again.

use std::process::Command;

use speed_layer_tests::host;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::terminal::Terminal;
use speed_layer_tests::ticks::{Plan, Spread};

use super::LIMIT;

const UP: &str = "\u{1b}[A";
const CTRL_D: &str = "\u{4}";

fn prompt(job: &Job) -> Command {
    let mut command = host::command().expect("it is built");
    command.args(["query", "--format", "csv", "--checkpoint"]).arg(job.path("checkpoint"));
    command.env("XDG_STATE_HOME", job.path("state"));
    command
}

/// Types these keys at the next prompt and waits for the answer.
fn says(terminal: &mut Terminal, keys: &str, answer: &str) {
    terminal.wait_for("query> ", LIMIT).expect("a prompt");
    terminal.type_keys(keys).expect("somebody reads");
    terminal.wait_for(answer, LIMIT).expect("an answer");
}

#[test]
fn statements_are_typed_at_a_prompt_that_remembers_them() {
    let records = Plan { rows: 2_000, days: 3, ..Plan::default() }.records(1, Spread::InTurn);
    kafka::shared().topic_of("asked-typed", 1, &records);
    let job = Job::new(kafka::shared(), "asked-typed");
    job.summary();

    let mut terminal = Terminal::start(&prompt(&job)).expect("a prompt");
    says(&mut terminal, "SELECT sum(tick_count) AS ticks\r", "-> ");
    terminal.type_keys("FROM daily;\r").expect("somebody reads");
    terminal.wait_for("ticks\r\n2000\r\n", LIMIT).expect("an answer");
    says(&mut terminal, "SELECT symbl FROM daily;\r", "did you mean `symbol`?");
    says(&mut terminal, "SELECT 40 + 1 AS a; SELECT 40 + 2 AS b;\r", "a\r\n41\r\nb\r\n42\r\n");
    says(&mut terminal, "\\q\r", "\n");
    let (status, shown) = terminal.finish(LIMIT).expect("it ends");
    assert!(status.success() && shown.contains("Tables: "), "{shown}");

    let mut again = Terminal::start(&prompt(&job)).expect("a prompt");
    says(&mut again, &format!("{UP}\r"), "\r\n42\r\n");
    says(&mut again, CTRL_D, "");
    let (status, shown) = again.finish(LIMIT).expect("it ends");
    assert!(status.success(), "{shown}");
}
