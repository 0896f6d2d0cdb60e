//! How the page looks and is used: its weight, light and dark, a phone's width, and the keyboard alone.

use serde_json::{Value, json};
use speed_layer_tests::browser::Page;

use super::{check_quiet, job_over, opened, records};

/// The whole page, as it is loaded.
const PAGE_BYTES_MAX: i64 = 200_000;
const PHONE: u32 = 360;

#[test]
fn the_page_is_light_and_comes_from_the_job_alone() {
    let (_job, _running, address) = job_over("chromium-weight", &records());
    let mut page = opened(&address);
    check_quiet(&mut page, &address);
    let loaded = page.loaded();
    let of_page: Vec<_> =
        loaded.iter().filter(|of| !of.url.contains("/api/") && of.url != "about:blank").collect();
    assert!(of_page.len() > 5 && of_page.iter().all(|of| of.status == 200 && of.bytes > 0), "{of_page:?}");
    let bytes: i64 = of_page.iter().map(|of| of.bytes).sum();
    assert!(bytes < PAGE_BYTES_MAX, "{bytes} bytes: {of_page:?}");
    let paint =
        page.eval("performance.getEntriesByName('first-contentful-paint')[0].startTime").expect("a time");
    println!("the page has {bytes} bytes; its first paint came after {paint} ms");
}

fn colour(page: &mut Page, selector: &str, property: &str) -> String {
    let of = format!("getComputedStyle(document.querySelector({})).{property}", json!(selector));
    page.eval(&of).expect(selector).as_str().expect(selector).to_owned()
}

/// Red, green and blue from 0 to 1, as the eye takes them.
fn luminance(colour: &str) -> f64 {
    let inside = colour.trim_start_matches("rgb(").trim_end_matches(')');
    let parts: Vec<f64> = inside.split(", ").map(|part| part.parse::<f64>().expect(colour) / 255.0).collect();
    let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
    0.2126 * linear(parts[0]) + 0.7152 * linear(parts[1]) + 0.0722 * linear(parts[2])
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

#[test]
fn texts_stand_out_in_light_and_dark() {
    let (_job, _running, address) = job_over("chromium-contrast", &records());
    let mut page = opened(&address);
    let mut backs = Vec::new();
    for scheme in ["light", "dark"] {
        page.prefer(scheme).expect("it can be had");
        let panel = colour(&mut page, ".panel", "backgroundColor");
        for text in ["h2", "td", "th", ".quiet", ".tiles dt", "summary", "a"] {
            let seen = contrast(&colour(&mut page, text, "color"), &panel);
            assert!(seen >= 4.5, "{scheme}: {text} has a contrast of {seen}");
        }
        for (text, back) in
            [(".pill", ".pill"), ("#state", "#state"), ("button.main", "button.main"), (".copy", ".panel")]
        {
            let seen =
                contrast(&colour(&mut page, text, "color"), &colour(&mut page, back, "backgroundColor"));
            assert!(seen >= 4.5, "{scheme}: {text} has a contrast of {seen}");
        }
        for drawn in [".candle.up rect", ".candle.down rect"] {
            let seen = contrast(&colour(&mut page, drawn, "stroke"), &panel);
            assert!(seen >= 3.0, "{scheme}: {drawn} has a contrast of {seen}");
        }
        backs.push(luminance(&panel));
    }
    assert!(backs[0] > 0.8 && backs[1] < 0.1, "{backs:?}");
}

#[test]
fn a_phone_needs_no_scrolling_to_the_side() {
    let (_job, _running, address) = job_over("chromium-phone", &records());
    let mut page = opened(&address);
    page.until("document.querySelectorAll('#letters-table tbody tr').length > 3");
    page.resize(PHONE, 780).expect("it can be had");
    page.eval("document.querySelectorAll('details').forEach((of) => { of.open = true; })").expect("it opens");
    page.until("document.querySelectorAll('#letters-table pre').length > 3");
    let widths = page.eval("[document.documentElement.scrollWidth, innerWidth]").expect("numbers");
    assert_eq!(widths, json!([PHONE, PHONE]));
    let beyond = "[...document.querySelectorAll('main *')].filter((of) => !of.closest('.scroll') && of.getBoundingClientRect().right > innerWidth + 0.5 \
                  && !of.classList.contains('hidden')).map((of) => of.outerHTML.slice(0, 90))";
    assert_eq!(page.eval(beyond).expect("a list"), json!([]));
    assert!(
        page.eval("document.querySelectorAll('#candles .candle').length").expect("a number").as_u64()
            > Some(5)
    );
}

/// What has the focus, by its id, or what it is.
fn focused(page: &mut Page) -> String {
    let of = "(() => { const of = document.activeElement; const ring = getComputedStyle(of.matches('[type=radio]') ? of.nextElementSibling : of); \
              return [of.id || of.className || of.tagName, ring.outlineStyle !== 'none' && parseFloat(ring.outlineWidth) >= 1]; })()";
    let found = page.eval(of).expect("an element");
    assert_eq!(found[1], true, "{found} does not show that it has the focus");
    found[0].as_str().expect("text").to_owned()
}

#[test]
fn everything_is_reached_and_used_by_keyboard_alone() {
    let (_job, _running, address) = job_over("chromium-keyboard", &records());
    let mut page = opened(&address);
    page.until("document.querySelectorAll('#letters-table tbody tr').length > 3");
    page.press("Tab").expect("a key");
    assert_eq!(focused(&mut page), "skip");
    let mut met = Vec::new();
    while met.last().is_none_or(|last| last != "swap-file") {
        page.press("Tab").expect("a key");
        met.push(focused(&mut page));
        assert!(met.len() < 200, "{met:?}");
        if met.last().is_some_and(|last| last == "candles") {
            check_chart(&mut page);
        }
    }
    for wanted in ["group", "candles", "rate-chart", "lag-chart", "copy", "SUMMARY", "swap-stage"] {
        assert!(met.iter().any(|of| of == wanted), "{wanted}: {met:?}");
    }
    page.eval("document.querySelector('#aggregates input').focus()").expect("it is there");
    page.press("ArrowRight").expect("a key");
    page.until("document.getElementById('candles').getAttribute('aria-label').includes(', hourly: ')");
    page.eval("document.querySelector('#letters-table summary').focus()").expect("it is there");
    page.press("Enter").expect("a key");
    page.until("document.querySelector('#letters-table details').open && document.querySelector('#letters-table pre') !== null");
    let unnamed = "[...document.querySelectorAll('button, input, select, [tabindex=\"0\"], table')].filter((of) => !(of.labels?.length || of.getAttribute('aria-label') \
                   || of.getAttribute('aria-labelledby') || of.textContent.trim() || of.closest('[hidden]'))).map((of) => of.outerHTML.slice(0, 90))";
    assert_eq!(page.eval(unnamed).expect("a list"), Value::Array(Vec::new()));
}

/// Left goes to the window before, and what it holds is read out.
fn check_chart(page: &mut Page) {
    let (newest, second) = (
        "document.querySelector('#windows-table tbody tr').cells[0].textContent",
        "document.querySelectorAll('#windows-table tbody tr')[1].cells[0].textContent",
    );
    for (key, expected) in [("End", newest), ("ArrowLeft", second)] {
        page.press(key).expect("a key");
        let expected = page.eval(expected).expect("a time");
        let day = &expected.as_str().expect("a time")[..10];
        assert!(page.text("#readout").starts_with(day), "{key}: {}", page.text("#readout"));
        let said = page.eval("document.getElementById('said').textContent").expect("text");
        assert!(
            said.as_str().is_some_and(|said| said.contains(day) && said.contains("High")),
            "{key}: {said}"
        );
    }
    page.press("Escape").expect("a key");
}
