//! The order of keys: JavaScript lists array indices first, ascending, then the other keys as they came.

/// The greatest array index is 2^32 - 2.
const NO_INDEX: u32 = u32::MAX;

/// Where a member lies in the output, and its key as an array index, [`NO_INDEX`] when it is none.
#[derive(Clone, Copy)]
pub(super) struct Member {
    start: usize,
    index: u32,
}

impl Member {
    /// `key` in its written form, without quotes.
    pub(super) fn new(start: usize, key: &[u8]) -> Self {
        Self { start, index: array_index(key) }
    }
}

fn array_index(key: &[u8]) -> u32 {
    match key {
        [b'0'] => 0,
        [b'1'..=b'9', rest @ ..] if rest.len() < 10 && rest.iter().all(u8::is_ascii_digit) => {
            let value = key.iter().fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0'));
            u32::try_from(value).unwrap_or(NO_INDEX)
        }
        _ => NO_INDEX,
    }
}

/// Puts the members of one object, whose last one ends where `out` ends, into JavaScript's order.
pub(super) fn order(members: &[Member], out: &mut [u8]) {
    if members.is_sorted_by_key(|member| member.index) {
        return;
    }
    let start = members[0].start;
    let end = out.len();
    // Members lie side by side, each but the last followed by a comma.
    let ends = members[1..].iter().map(|next| next.start - 1).chain([end]);
    let mut spans: Vec<_> = members.iter().zip(ends).collect();
    spans.sort_by_key(|(member, _)| member.index);
    let mut ordered = Vec::with_capacity(end - start);
    for (member, end) in spans {
        if !ordered.is_empty() {
            ordered.push(b',');
        }
        ordered.extend_from_slice(&out[member.start..end]);
    }
    out[start..].copy_from_slice(&ordered);
}
