//! Ids: a prefix and a `UUIDv7` in Crockford base32 (the text form of `TypeID`), sortable by time as text.

mod base32;
mod error;
mod generator;

use std::fmt;

use sha2::{Digest, Sha256};

pub use error::IdError;
pub use generator::Generator;

/// Length of the part behind `prefix_`.
const SUFFIX: usize = 26;
/// The longest prefix has three letters.
const LONGEST: usize = 3 + 1 + SUFFIX;
/// Ids have 48 bits for the time.
const LAST_MILLI: u64 = (1 << 48) - 1;
const VERSION_7: u128 = 0x7 << 76;
const VARIANT_RFC: u128 = 0b10 << 62;
/// Where neither version nor variant live, below the 48 bits of time.
const FREE_BITS: u128 = (0xfff << 64) | 0x3fff_ffff_ffff_ffff;

/// What an id names, and the letters it starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// `wh_…`, a registered endpoint.
    Webhook,
    /// `evt_…`, one fact in the outbox.
    Event,
    /// `src_…`, a watched table or a named emitter.
    Source,
    /// `sub_…`, a link from a source to a webhook.
    Subscription,
    /// `del_…`, one event for one webhook.
    Delivery,
}

impl Prefix {
    const ALL: [Self; 5] = [Self::Webhook, Self::Event, Self::Source, Self::Subscription, Self::Delivery];

    /// The letters before the underscore.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Webhook => "wh",
            Self::Event => "evt",
            Self::Source => "src",
            Self::Subscription => "sub",
            Self::Delivery => "del",
        }
    }
}

/// A 128-bit id without its prefix; orders by time of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u128);

impl Id {
    /// A `UUIDv7` of the millisecond; of `rest` only the bits that are neither time, version nor variant
    /// count.
    const fn new(unix_millis: u64, rest: u128) -> Self {
        Self(((unix_millis as u128) << 80) | VERSION_7 | VARIANT_RFC | (rest & FREE_BITS))
    }

    /// The text form, without allocating.
    pub fn text(self, prefix: Prefix) -> IdText {
        let prefix = prefix.text();
        let mut text = IdText { bytes: [0; LONGEST], len: (prefix.len() + 1 + SUFFIX) as u8 };
        text.bytes[..prefix.len()].copy_from_slice(prefix.as_bytes());
        text.bytes[prefix.len()] = b'_';
        base32::encode(self.0, &mut text.bytes[prefix.len() + 1..][..SUFFIX]);
        text
    }

    /// The time of creation, in milliseconds since 1970.
    pub const fn unix_millis(self) -> u64 {
        (self.0 >> 80) as u64
    }
}

/// An id as text, on the stack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdText {
    bytes: [u8; LONGEST],
    len: u8,
}

impl AsRef<str> for IdText {
    fn as_ref(&self) -> &str {
        // Only ASCII is ever written into `bytes`.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_ref())
    }
}

impl fmt::Debug for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_ref(), f)
    }
}

impl From<IdText> for String {
    fn from(text: IdText) -> Self {
        text.as_ref().to_owned()
    }
}

/// Reads an id that must have this prefix.
///
/// # Errors
/// [`IdError`] when the prefix is another one or the rest is not 26 lower-case base32 characters of 128 bits.
pub fn parse(prefix: Prefix, text: &str) -> Result<Id, IdError> {
    let suffix = text
        .strip_prefix(prefix.text())
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or_else(|| IdError::prefix(prefix, text))?;
    base32::decode(suffix.as_bytes()).map(Id).ok_or_else(|| IdError::malformed(text))
}

/// The time in an id of any prefix, in milliseconds since 1970.
///
/// # Errors
/// [`IdError`] when the text is no id of this system.
pub fn unix_millis(id: &str) -> Result<u64, IdError> {
    let prefix = id.split_once('_').and_then(|(head, _)| Prefix::ALL.into_iter().find(|p| p.text() == head));
    let prefix = prefix.ok_or_else(|| IdError::malformed(id))?;
    parse(prefix, id).map(Id::unix_millis)
}

/// The least id of a millisecond: every id made at or after that time is greater or equal, as text too. A time that no id
/// has (they end in the year 10889) is taken for the last one.
pub fn floor(prefix: Prefix, unix_millis: u64) -> String {
    Id::new(unix_millis.min(LAST_MILLI), 0).text(prefix).into()
}

/// The id of the delivery of one event to one webhook: the event's time, then bits of SHA-256(`event_id` 0x00
/// `webhook_id`). It needs no state, so no crash and no second relay can give it another.
///
/// # Errors
/// [`IdError`] when either text is not an id of its kind.
pub fn delivery(event_id: &str, webhook_id: &str) -> Result<String, IdError> {
    let event = parse(Prefix::Event, event_id)?;
    parse(Prefix::Webhook, webhook_id)?;
    let digest = Sha256::new().chain_update(event_id).chain_update([0]).chain_update(webhook_id).finalize();
    let rest = digest[..10].iter().fold(0, |bits: u128, &byte| (bits << 8) | u128::from(byte));
    Ok(Id::new(event.unix_millis(), rest).text(Prefix::Delivery).into())
}
