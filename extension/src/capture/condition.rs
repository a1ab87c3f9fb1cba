//! The `when` of a watched table, for an operation that has only one of NEW and OLD.

use pgrx::pg_extern;

/// Rewrites a condition that speaks of the row by one name (`NEW.active`) to the other one, so that it can also stand
/// in the trigger of an operation that has only that: an INSERT has no OLD, a DELETE no NEW. NULL when the condition
/// mentions both, and so is about a change.
#[pg_extern(sql = false)]
fn _condition_for(operation: &str, condition: &[u8]) -> Option<Vec<u8>> {
    let (missing, present) = match operation {
        "insert" => ("old", "new"),
        "delete" => ("new", "old"),
        _ => return Some(condition.to_owned()),
    };
    // Every encoding of a database has ASCII as it is, so bytes may pass for characters.
    let condition: String = condition.iter().map(|byte| char::from(*byte)).collect();
    let mut out = String::with_capacity(condition.len());
    let mut has_present = false;
    let mut has_missing = false;
    let mut rest = condition.as_str();
    while !rest.is_empty() {
        let (token, after) = rest.split_at(token_length(rest));
        if token.eq_ignore_ascii_case(missing) {
            has_missing = true;
            out.push_str(present);
        } else {
            has_present |= token.eq_ignore_ascii_case(present);
            out.push_str(token);
        }
        rest = after;
    }
    (!(has_missing && has_present)).then(|| out.chars().map(|c| c as u8).collect())
}

/// The length of the first token: a word, a quoted text or name with its quotes, a comment, or one other character.
fn token_length(text: &str) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let until = |end: &str| text[first..].find(end).map_or(text.len(), |at| first + at + end.len());
    if text.starts_with("--") {
        return until("\n");
    }
    if text.starts_with("/*") {
        return until("*/");
    }
    match text.as_bytes()[0] {
        // A doubled quote inside ends one token and begins the next: the same for our purpose.
        b'\'' => until("'"),
        b'"' => until("\""),
        b'$' => match text[1..].find('$') {
            Some(tag)
                if text[1..=tag].chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()) =>
            {
                let quote = &text[..tag + 2];
                text[quote.len()..].find(quote).map_or(text.len(), |at| quote.len() * 2 + at)
            }
            _ => first,
        },
        _ => {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
            if text.starts_with(word) { text.find(|c| !word(c)).unwrap_or(text.len()) } else { first }
        }
    }
}
