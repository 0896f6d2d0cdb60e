//! Just enough understanding of Rust's text to look for things in it: what is code, and what is a test.

/// The same text with comments, strings and characters replaced by spaces; line breaks stay.
pub fn code_only(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = blank_length(rest);
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    out
}

/// The length in bytes of the comment, string or character that `text` begins with; 0 where it begins with code.
fn blank_length(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if let Some(body) = text.strip_prefix('"') {
        return 1 + quoted_length(body, '"');
    }
    raw_string_length(text).or_else(|| character_length(text)).unwrap_or(0)
}

/// Up to and with the closing quote; a backslash takes the next character with it.
fn quoted_length(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return index + c.len_utf8(),
            _ => {}
        }
    }
    body.len()
}

/// `r"…"`, `r#"…"#` and so on, also after a `b`.
fn raw_string_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix('r')?;
    let hashes = body.bytes().take_while(|byte| *byte == b'#').count();
    let opened = 1 + hashes + 1;
    body[hashes..].starts_with('"').then_some(())?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text[opened..].find(&end).map_or(text.len(), |at| opened + at + end.len()))
}

/// A character, and not a lifetime.
fn character_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let first = body.chars().next()?;
    if first == '\\' {
        return Some(1 + quoted_length(body, '\''));
    }
    body[first.len_utf8()..].starts_with('\'').then_some(2 + first.len_utf8())
}

/// Code without the items that are only compiled for tests; takes and gives what `code_only` gives.
pub fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let length = item_length(item);
        out.extend(item[..length].chars().filter(|c| *c == '\n'));
        rest = &item[length..];
    }
    out + rest
}

/// Up to the semicolon or the closing brace that ends the item.
pub fn item_length(item: &str) -> usize {
    match item.find([';', '{']) {
        Some(at) if item[at..].starts_with('{') => at + block_length(&item[at..]),
        Some(at) => at + 1,
        None => item.len(),
    }
}

/// From an opening brace to its closing one.
pub fn block_length(block: &str) -> usize {
    let mut depth = 0;
    for (index, byte) in block.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return index + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    block.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &str) {
        let found: String = code_only(source).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        check("a // b { \n c", "a c");
        check("a /* { */ b", "a b");
        check(r#"f("{ \" }", x)"#, "f( , x)");
        check("f(r#\"{ \" \"#, x)", "f( , x)");
        check(r"f('{', '\'', b'}')", "f( , , b )");
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    }

    #[test]
    fn test_modules_and_test_items_are_cut_out() {
        let code =
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { } }\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}";
        let left = without_tests(code);
        assert!(["a", "c", "e"].iter().all(|name| left.contains(&format!("fn {name}()"))), "{left}");
        assert!(!left.contains("fn b()") && !left.contains("mod d"), "{left}");
        assert_eq!(left.lines().count(), code.lines().count());
    }
}
