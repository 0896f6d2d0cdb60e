//! The dashboard's files, as they are in the program. They have no build chain: what is in `page/` is what a browser gets.

use super::answer::Answer;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const DRAWING: &str = "image/svg+xml";

/// Each path with its type and text.
pub const FILES: [(&str, &str, &str); 11] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/dashboard.css", STYLE, include_str!("page/dashboard.css")),
    ("/dashboard.js", SCRIPT, include_str!("page/dashboard.js")),
    ("/candles.js", SCRIPT, include_str!("page/candles.js")),
    ("/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/format.js", SCRIPT, include_str!("page/format.js")),
    ("/history.js", SCRIPT, include_str!("page/history.js")),
    ("/lines.js", SCRIPT, include_str!("page/lines.js")),
    ("/swap.js", SCRIPT, include_str!("page/swap.js")),
    ("/tables.js", SCRIPT, include_str!("page/tables.js")),
    ("/icon.svg", DRAWING, include_str!("page/icon.svg")),
];

/// The file at a path.
pub fn file(path: &str) -> Option<Answer> {
    let (_, content_type, text) = FILES.iter().find(|(of, _, _)| *of == path)?;
    Some(Answer::text(200, content_type, (*text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's weight on the wire is measured in a browser; this is a bound that needs none.
    const BYTES_MAX: usize = 200_000;

    #[test]
    fn the_page_is_light_and_asks_nobody_else() {
        assert!(FILES.iter().map(|(_, _, text)| text.len()).sum::<usize>() < BYTES_MAX);
        for (path, _, text) in FILES {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for other in
                ["http:", "https:", "//cdn", "innerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!text.contains(other), "{path} has {other}");
            }
        }
    }

    #[test]
    fn a_page_has_no_script_and_no_style_of_its_own() {
        let (_, _, page) = FILES[0];
        for inline in ["<style", "style=", " onclick", " onload", "<script>"] {
            assert!(!page.contains(inline), "{inline}");
        }
    }
}
