//! A swap made from the page: looked at, run beside the stream, promoted; and what is not let in.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use speed_layer_tests::browser::Page;
use speed_layer_tests::components::variant;
use speed_layer_tests::http::get;
use speed_layer_tests::kafka;
use speed_layer_tests::ticks::Placed;

use super::super::swaps::{AGGREGATE, plugin};
use super::{ROWS, TOKEN, job_over, opened, records};

fn press(page: &mut Page, mode: &str) {
    page.until(&format!("!document.querySelector('button[value={mode}]').disabled"));
    page.click(&format!("button[value={mode}]"));
}

/// Waits for a report that has this in it.
fn reported(page: &mut Page, text: &str) -> String {
    page.until(&format!("document.getElementById('swap-report').textContent.includes('{text}')"));
    page.text("#swap-report")
}

/// Without a token, a file or the right token nothing is done; then the right one is entered.
fn enter(page: &mut Page, file: &Path) {
    press(page, "dry-run");
    // The browser itself asks for the token.
    assert_eq!(
        page.eval("document.getElementById('swap-token').matches(':invalid')").expect("an answer"),
        true
    );
    page.eval("document.getElementById('swap-token').focus()").expect("it is there");
    page.write("wrong-horse-battery-staple").expect("it takes it");
    press(page, "dry-run");
    reported(page, "Choose the new plugin");
    page.choose_file("#swap-file", file).expect("it takes it");
    press(page, "promote");
    reported(page, "Not let in: the token is not the one");
    page.eval("document.getElementById('swap-token').select()").expect("it is there");
    page.write(TOKEN).expect("it takes it");
}

/// Has it run beside the stream while the rest of the records comes in.
fn shadowed(page: &mut Page, topic: &str, rest: &[Placed]) -> String {
    page.eval("document.getElementById('swap-batches').value = '4'").expect("it is there");
    press(page, "shadow");
    reported(page, "Beside the stream");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut chunks = rest.chunks(20);
            while !is_done.load(Ordering::SeqCst)
                && let Some(chunk) = chunks.next()
            {
                kafka::shared().append(topic, chunk);
            }
        });
        let shadowed = reported(page, "shadowed, equal");
        is_done.store(true, Ordering::SeqCst);
        shadowed
    })
}

#[test]
fn a_plugin_is_tried_run_beside_the_stream_and_promoted_from_the_page() {
    let topic = "chromium-swap";
    let (records, half) = (records(), ROWS / 2);
    let (job, _running, address) = job_over(topic, &records[..half]);
    let file = job.path("another.wasm");
    let new = variant(&plugin("ohlcv"), "another");
    fs::write(&file, &new).expect("a component can be written");
    let mut page = opened(&address);
    page.choose("#swap-stage", AGGREGATE).expect("it is there");
    enter(&mut page, &file);
    press(&mut page, "dry-run");
    let fits = reported(&mut page, "Nothing was changed");
    assert!(fits.contains(AGGREGATE) && fits.contains("(live)"), "{fits}");

    let shadowed = shadowed(&mut page, topic, &records[half..]);
    assert!(shadowed.contains("daily: open windows") && shadowed.contains("tick_count"), "{shadowed}");

    press(&mut page, "promote");
    reported(&mut page, "the stream stood for");
    let plugins = get(&address, "/api/plugins").expect("an answer").json();
    let short =
        plugins.as_array().expect("a list").iter().find(|of| of["stage"] == AGGREGATE).expect("it is there");
    assert_eq!(short["name"], "another", "{plugins}");
    let short = &short["digest"].as_str().expect("a digest")[..12];
    page.until(&format!(
        "[...document.querySelectorAll('#plugins-table .copy')].some((of) => of.textContent === '{short}')"
    ));
    page.until("document.querySelectorAll('#swaps-table tbody tr').length === 2");
    let history = page.text("#swaps-table tbody");
    for part in ["swapped", "shadowed, equal", "by the dashboard at 127.0.0.1", short] {
        assert!(history.contains(part), "{part}: {history}");
    }
    // What was refused on purpose is all that the console has heard of.
    let complaints = page.complaints();
    assert!(complaints.iter().all(|of| of.contains("401")), "{complaints:?}");
    assert_eq!(
        page.eval("JSON.stringify([localStorage.length, sessionStorage.length, document.cookie])")
            .expect("text"),
        "[0,0,\"\"]"
    );
}
