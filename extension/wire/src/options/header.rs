//! Which headers a user may set.

/// Longest name and value, most headers, and all of them together, in bytes.
const LONGEST_NAME: usize = 256;
const LONGEST_VALUE: usize = 8 * 1024;

/// Names that belong to the connection or the HTTP library.
const CONNECTION: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
    "trailer",
    "expect",
    "keep-alive",
    "http2-settings",
    "date",
];
/// Names that this crate writes itself and nobody may contradict.
const OWN: [&str; 12] = [
    "x-webhook-id",
    "x-webhook-event",
    "x-webhook-delivery",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "ce-specversion",
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-time",
    "ce-partitionkey",
];
/// All names that start like these are ours, also those of versions to come.
const OWN_PREFIXES: [&str; 2] = ["webhook-", "x-webhook-"];

/// What is wrong with a header name that `options.headers` sets.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    check_static_name(name)?;
    let lower = name.to_ascii_lowercase();
    if OWN_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err("another name: webhook-* and x-webhook-* are set by the relay");
    }
    Ok(())
}

/// What is wrong with the name of the header of signature `static`. It may be any that such a request does
/// not have otherwise, `X-Webhook-Signature` too.
pub(super) fn check_static_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_token) {
        return Err("a header name: letters, digits and !#$%&'*+-.^_`|~, at most 256");
    }
    let lower = name.to_ascii_lowercase();
    if CONNECTION.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err("another name: this header belongs to the connection");
    }
    if OWN.contains(&lower.as_str()) {
        return Err("another name: this header is set by the relay");
    }
    Ok(())
}

/// What is wrong with a header value.
pub(super) fn check_value(value: &str) -> Result<(), &'static str> {
    if value.len() > LONGEST_VALUE {
        return Err("a value of at most 8192 characters");
    }
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("a value of printable ASCII characters");
    }
    if value.starts_with(' ') || value.ends_with(' ') {
        return Err("a value without spaces around it");
    }
    Ok(())
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
