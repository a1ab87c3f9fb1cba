//! Bodies: the bytes of an event in each format.

mod time;

use std::{error::Error, fmt};

pub use time::rfc3339_millis;

use crate::{
    json::{self, JsonError},
    text::excerpt,
};

/// A `CloudEvent` must have a source; events without one get this.
const ANONYMOUS_SOURCE: &str = "pg_webhook";

/// The option `format`: the shape of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `{"id","type","created_at","data"}`, and `"previous"` where there is one.
    #[default]
    Event,
    /// The same with `created` in place of `created_at`.
    EventCreated,
    /// `{"type","timestamp","data"}` of Standard Webhooks.
    Standard,
    /// `CloudEvents` 1.0, structured.
    CloudEvents,
    /// `CloudEvents` 1.0, binary: data alone, the attributes are headers.
    CloudEventsBinary,
    /// Data alone.
    Data,
    /// No body at all: a GET, or whatever needs none.
    Empty,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Event,
        Self::EventCreated,
        Self::Standard,
        Self::CloudEvents,
        Self::CloudEventsBinary,
        Self::Data,
        Self::Empty,
    ];

    /// Reads the option's text.
    ///
    /// # Errors
    /// [`UnknownFormat`] for any other text.
    pub fn parse(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.text() == text).ok_or_else(|| UnknownFormat(excerpt(text)))
    }

    /// The option's text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::EventCreated => "event_created",
            Self::Standard => "standard",
            Self::CloudEvents => "cloudevents",
            Self::CloudEventsBinary => "cloudevents_binary",
            Self::Data => "data",
            Self::Empty => "none",
        }
    }

    /// The value of `Content-Type`; where there is no body there is no type.
    pub const fn content_type(self) -> Option<&'static str> {
        match self {
            Self::CloudEvents => Some("application/cloudevents+json"),
            Self::Empty => None,
            _ => Some("application/json"),
        }
    }
}

/// An event as it lies in the outbox.
#[derive(Clone, Copy, Debug)]
pub struct EventRef<'a> {
    /// `evt_…`.
    pub id: &'a str,
    /// The event type, `user.created`.
    pub kind: &'a str,
    /// When it happened, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// JSON text.
    pub data: &'a [u8],
    /// JSON text: the old values of changed columns.
    pub previous: Option<&'a [u8]>,
    /// The ordering key.
    pub key: Option<&'a str>,
    /// What emitted it, `src_…`.
    pub source: Option<&'a str>,
}

/// The body of an event: the same bytes for every attempt.
///
/// `previous` is part of the formats `event`, `event_created` and `standard`; attributes of `CloudEvents`
/// cannot hold objects, and `data` is data alone.
///
/// # Errors
/// [`JsonError`] when `data` or `previous` is not JSON in UTF-8.
pub fn write(format: Format, event: &EventRef<'_>) -> Result<Vec<u8>, JsonError> {
    let previous = event.previous.map_or(0, <[u8]>::len);
    let mut body = Vec::with_capacity(event.data.len() + previous + 256);
    match format {
        Format::Event => envelope(event, "created_at", &mut body)?,
        Format::EventCreated => envelope(event, "created", &mut body)?,
        Format::Standard => {
            field("{\"type\":", event.kind, &mut body);
            field(",\"timestamp\":", &rfc3339_millis(event.created_at_ms), &mut body);
            payload(event, &mut body)?;
        }
        Format::CloudEvents => {
            let mut before = "{";
            for (name, value) in attributes(event) {
                body.extend_from_slice(before.as_bytes());
                json::write_string(name, &mut body);
                field(":", &value, &mut body);
                before = ",";
            }
            field(",\"datacontenttype\":", "application/json", &mut body);
            body.extend_from_slice(b",\"data\":");
            json::canonical(event.data, &mut body)?;
            body.push(b'}');
        }
        Format::CloudEventsBinary | Format::Data => json::canonical(event.data, &mut body)?,
        Format::Empty => {}
    }
    Ok(body)
}

/// The context attributes of an event as `CloudEvents` names them; the ordering key is its partitioning
/// extension.
pub(crate) fn attributes(event: &EventRef<'_>) -> Vec<(&'static str, String)> {
    let mut attributes = vec![
        ("specversion", "1.0".to_owned()),
        ("id", event.id.to_owned()),
        ("source", event.source.unwrap_or(ANONYMOUS_SOURCE).to_owned()),
        ("type", event.kind.to_owned()),
        ("time", rfc3339_millis(event.created_at_ms)),
    ];
    // The extension forbids an empty one.
    let key = event.key.filter(|key| !key.is_empty());
    attributes.extend(key.map(|key| ("partitionkey", key.to_owned())));
    attributes
}

fn envelope(event: &EventRef<'_>, created: &str, body: &mut Vec<u8>) -> Result<(), JsonError> {
    field("{\"id\":", event.id, body);
    field(",\"type\":", event.kind, body);
    body.extend_from_slice(b",\"");
    body.extend_from_slice(created.as_bytes());
    field("\":", &rfc3339_millis(event.created_at_ms), body);
    payload(event, body)
}

fn payload(event: &EventRef<'_>, body: &mut Vec<u8>) -> Result<(), JsonError> {
    body.extend_from_slice(b",\"data\":");
    json::canonical(event.data, body)?;
    if let Some(previous) = event.previous {
        body.extend_from_slice(b",\"previous\":");
        json::canonical(previous, body)?;
    }
    body.push(b'}');
    Ok(())
}

fn field(before: &str, value: &str, body: &mut Vec<u8>) {
    body.extend_from_slice(before.as_bytes());
    json::write_string(value, body);
}

/// A text that names no body format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl UnknownFormat {
    /// What to do about it.
    pub fn hint(&self) -> String {
        format!("Known formats: {}.", Format::ALL.map(Format::text).join(", "))
    }
}

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown format \"{}\"", self.0)
    }
}

impl Error for UnknownFormat {}
