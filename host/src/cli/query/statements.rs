//! Which statements a text holds. What they mean is not looked at.

use std::iter::Peekable;
use std::str::Chars;

/// The statements of a text; semicolons inside quotes and comments end none. The last needs none.
pub fn statements(text: &str) -> Vec<String> {
    let Split { mut ended, rest } = Split::of(text);
    ended.push(rest);
    ended.retain(|statement| !statement.trim().is_empty());
    ended
}

/// Whether the last statement of a text is at its semicolon.
pub fn is_whole(text: &str) -> bool {
    let Split { ended, rest } = Split::of(text);
    !ended.is_empty() && rest.trim().is_empty()
}

struct Split {
    ended: Vec<String>,
    rest: String,
}

impl Split {
    fn of(text: &str) -> Self {
        let (mut ended, mut rest) = (Vec::new(), String::new());
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match (character, characters.peek()) {
                (';', _) => ended.push(std::mem::take(&mut rest)),
                ('\'' | '"', _) => take_quoted(&mut characters, character, &mut rest),
                ('-', Some('-')) => {
                    characters.by_ref().find(|inner| *inner == '\n');
                    rest.push('\n');
                }
                ('/', Some('*')) => pass_comment(&mut characters, &mut rest),
                _ => rest.push(character),
            }
        }
        Self { ended, rest }
    }
}

fn take_quoted(characters: &mut Peekable<Chars<'_>>, quote: char, into: &mut String) {
    into.push(quote);
    for inner in characters.by_ref() {
        into.push(inner);
        if inner == quote {
            return;
        }
    }
}

/// One that does not end is left in `rest`, which is thereby not blank.
fn pass_comment(characters: &mut Peekable<Chars<'_>>, rest: &mut String) {
    characters.next();
    while let Some(inner) = characters.next() {
        if inner == '*' && characters.next_if_eq(&'/').is_some() {
            rest.push(' ');
            return;
        }
    }
    rest.push_str("/*");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_with_semicolons_that_are_not_quoted() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<String> = statements(text).iter().map(|one| one.trim().to_owned()).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("SELECT 1", &["SELECT 1"]);
        check("SELECT 1; SELECT 2;\n", &["SELECT 1", "SELECT 2"]);
        check("SELECT ';', \"a;b\"; ;", &["SELECT ';', \"a;b\""]);
        check("SELECT 'it''s;' ; x", &["SELECT 'it''s;'", "x"]);
        check("-- a; comment\nSELECT 1;", &["SELECT 1"]);
        check("SELECT 1/* a; */+2; SELECT 4/2*3", &["SELECT 1 +2", "SELECT 4/2*3"]);
        check("SELECT 1 /* never; ended", &["SELECT 1 /*"]);
        check("", &[]);
    }

    #[test]
    fn a_text_is_whole_at_a_semicolon_that_ends_a_statement() {
        let check = |text: &str, whole: bool| assert_eq!(is_whole(text), whole, "{text}");
        check("SELECT 1;\n", true);
        check("SELECT 1; SELECT 2; -- the last\n", true);
        check("SELECT 1\n", false);
        check("SELECT 1; SELECT 2\n", false);
        check("SELECT ';\n", false);
        check("-- nothing;\n", false);
        check("SELECT 1; /* more;\n", false);
    }
}
