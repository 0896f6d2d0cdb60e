//! The dashboard in Chromium: what it shows is what the API and `host query` say, it is used by mouse and by keyboard, and
//! what others have written into the topic does nothing.

mod gone;
mod looks;
mod swapping;
mod values;

use speed_layer_tests::browser::Page;
use speed_layer_tests::host::Running;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::metrics::{TOKEN, VARIABLE, start};
use super::pipelines::{DAILY, HOURLY};
use super::{HOUR_MS, LIMIT};

const ROWS: usize = 6_000;

/// Over nine days; some are broken.
fn records() -> Vec<Placed> {
    let plan =
        Plan { rows: ROWS, days: 9, jitter_ms: HOUR_MS / 2, bad_per_million: 3_000, ..Plan::default() };
    plan.records(2, Spread::InTurn)
}

/// A job with a daily and an hourly aggregate that has committed these records and goes on, and where it answers.
fn job_over(topic: &str, records: &[Placed]) -> (Job, Running, String) {
    kafka::shared().topic_of(topic, 2, records);
    let job = Job::new(kafka::shared(), topic)
        .pipeline(&format!("{DAILY}{HOURLY}"))
        .set("--trigger", "100ms")
        .variable(VARIABLE, TOKEN);
    let (running, address) = start(&job);
    let all = records.len() as u64;
    speed_layer_tests::http::await_reply(&address, "/api/status", |reply| {
        reply.json()["records_committed"] == all
    });
    (job, running, address)
}

/// The dashboard with its windows.
fn opened(address: &str) -> Page {
    let mut page = Page::open(1280, 1400).expect("a browser");
    page.go(&format!("http://{address}/")).expect("it answers");
    page.until("document.querySelectorAll('#windows-table tbody tr').length > 1");
    page
}

/// Nothing was asked of anybody else, and nothing went wrong.
fn check_quiet(page: &mut Page, address: &str) {
    // Whatever the page has said arrives before the answer to this.
    page.eval("1").expect("it lives");
    assert_eq!(page.complaints(), Vec::<String>::new());
    for loaded in page.loaded() {
        let own = loaded.url.starts_with(&format!("http://{address}/")) || loaded.url == "about:blank";
        assert!(own, "{loaded:?}");
    }
}
