//! Which statements a text holds. What they mean is not looked at.

/// The statements of a text; semicolons inside quotes and comments end none.
pub fn statements(text: &str) -> Vec<String> {
    let (mut statements, mut pending) = (Vec::new(), String::new());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ';' => statements.push(std::mem::take(&mut pending)),
            '\'' | '"' => {
                pending.push(character);
                for inner in characters.by_ref() {
                    pending.push(inner);
                    if inner == character {
                        break;
                    }
                }
            }
            '-' if characters.peek() == Some(&'-') => {
                characters.by_ref().find(|inner| *inner == '\n');
                pending.push('\n');
            }
            other => pending.push(other),
        }
    }
    statements.push(pending);
    statements.retain(|statement| !statement.trim().is_empty());
    statements
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
        check("", &[]);
    }
}
