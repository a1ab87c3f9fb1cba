//! 128 bits as 26 characters of Crockford's base32 in lower case: five bits each, the first only three.

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const INVALID: u8 = 0xff;
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut table = [INVALID; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        table[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    table
}

/// Fills `out`, 26 bytes.
pub(super) fn encode(bits: u128, out: &mut [u8]) {
    let mut rest = bits;
    for byte in out.iter_mut().rev() {
        *byte = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
}

/// `None` unless the text is 26 characters of the alphabet that spell no more than 128 bits.
pub(super) fn decode(text: &[u8]) -> Option<u128> {
    if text.len() != super::SUFFIX || text[0] > b'7' {
        return None;
    }
    text.iter().try_fold(0, |bits: u128, &byte| {
        let value = VALUES[usize::from(byte)];
        (value != INVALID).then_some((bits << 5) | u128::from(value))
    })
}
