//! Text from outside, made fit for a message or a URL.

const LONGEST: usize = 100;

/// The text, cut to a hundred characters, control characters spelled as escapes: fit for one line of a log.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(LONGEST) + 3);
    for (count, char) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push('…');
            break;
        }
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Appends `text` with every byte that is not kept as `%XX`.
pub(crate) fn percent_encode(text: &str, keep: impl Fn(u8) -> bool, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if keep(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}
