use proptest::prelude::*;
use serde_json::Value;
use webhook_wire::{
    body::{EventRef, Format, rfc3339_millis, write},
    json::JsonError,
};

const EVENT: EventRef<'_> = EventRef {
    id: "evt_01h455vb4pex5vsknk084sn02q",
    kind: "user.created",
    created_at_ms: 1_767_323_045_678,
    data: br#" { "name" : "Jane", "score": 1.10 } "#,
    previous: None,
    key: Some("42"),
    source: Some("src_01h455vb4pex5vsknk084sn02q"),
};

fn text(format: Format, event: &EventRef<'_>) -> String {
    String::from_utf8(write(format, event).expect("JSON")).expect("UTF-8")
}

#[test]
fn the_body_of_every_format() {
    let cases = [
        (
            "event",
            r#"{"id":"evt_01h455vb4pex5vsknk084sn02q","type":"user.created","created_at":"2026-01-02T03:04:05.678Z","data":{"name":"Jane","score":1.1}}"#,
        ),
        (
            "event_created",
            r#"{"id":"evt_01h455vb4pex5vsknk084sn02q","type":"user.created","created":"2026-01-02T03:04:05.678Z","data":{"name":"Jane","score":1.1}}"#,
        ),
        (
            "standard",
            r#"{"type":"user.created","timestamp":"2026-01-02T03:04:05.678Z","data":{"name":"Jane","score":1.1}}"#,
        ),
        (
            "cloudevents",
            r#"{"specversion":"1.0","id":"evt_01h455vb4pex5vsknk084sn02q","source":"src_01h455vb4pex5vsknk084sn02q","type":"user.created","time":"2026-01-02T03:04:05.678Z","partitionkey":"42","datacontenttype":"application/json","data":{"name":"Jane","score":1.1}}"#,
        ),
        ("cloudevents_binary", r#"{"name":"Jane","score":1.1}"#),
        ("data", r#"{"name":"Jane","score":1.1}"#),
    ];
    for (option, expected) in cases {
        let format = Format::parse(option).expect(option);
        assert_eq!(format.text(), option);
        assert_eq!(text(format, &EVENT), expected);
    }
    let error = Format::parse("xml").expect_err("unknown");
    assert_eq!(error.to_string(), "unknown format \"xml\"");
    assert!(error.hint().contains("cloudevents_binary"));
}

#[test]
fn previous_is_the_fifth_key() {
    let event = EventRef { previous: Some(br#"{"score": 1.00}"#), ..EVENT };
    for format in [Format::Event, Format::EventCreated, Format::Standard] {
        let body = text(format, &event);
        assert!(body.ends_with(r#","data":{"name":"Jane","score":1.1},"previous":{"score":1}}"#), "{body}");
    }
    for format in [Format::CloudEvents, Format::CloudEventsBinary, Format::Data] {
        assert_eq!(text(format, &event), text(format, &EVENT));
    }
}

#[test]
fn a_cloud_event_always_has_a_source_and_never_an_empty_key() {
    let event = EventRef { source: None, key: Some(""), ..EVENT };
    let body: Value = serde_json::from_str(&text(Format::CloudEvents, &event)).expect("JSON");
    assert_eq!(body["source"], "pg_webhook");
    assert_eq!(body.get("partitionkey"), None);
}

#[test]
fn odd_json_goes_through_and_no_json_does_not() {
    let odd = EventRef { data: br#"{"a":"\u0000\uD800","a":9007199254740993}"#, ..EVENT };
    assert_eq!(text(Format::Data, &odd), r#"{"a":"\u0000\ud800","a":9007199254740993}"#);
    for format in [Format::Event, Format::Standard, Format::CloudEvents, Format::Data] {
        let broken = EventRef { data: b"{", ..EVENT };
        assert_eq!(write(format, &broken), Err(JsonError::Syntax { offset: 1 }));
        let latin = EventRef { data: b"\"\xe9\"", ..EVENT };
        assert_eq!(write(format, &latin), Err(JsonError::InvalidUtf8));
    }
    assert!(write(Format::Event, &EventRef { previous: Some(b""), ..EVENT }).is_err());
}

#[test]
fn times_as_javascript_prints_them() {
    // new Date(ms).toISOString() of Node 20.
    let cases = [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_709_208_000_001, "2024-02-29T12:00:00.001Z"),
        (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
        (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
        (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
    ];
    for (millis, expected) in cases {
        assert_eq!(rfc3339_millis(millis), expected);
    }
}

proptest! {
    #[test]
    fn later_is_greater(millis in 0_i64..253_402_300_799_999, step in 1_i64..100_000_000_000) {
        let (earlier, later) = (rfc3339_millis(millis), rfc3339_millis(millis + step));
        prop_assert!(earlier < later || later.starts_with('+'));
    }

    #[test]
    fn any_time_has_a_text(millis: i64) {
        prop_assert!(rfc3339_millis(millis).ends_with('Z'));
    }

    #[test]
    fn any_text_in_an_event_stays_json(kind: String, key: String, source: String) {
        let event = EventRef { kind: &kind, key: Some(&key), source: Some(&source), ..EVENT };
        for format in [Format::Event, Format::EventCreated, Format::Standard, Format::CloudEvents] {
            let body: Value = serde_json::from_slice(&write(format, &event).expect("JSON")).expect("JSON");
            prop_assert_eq!(&body["type"], &Value::from(kind.as_str()));
            prop_assert_eq!(&body["data"]["name"], "Jane");
        }
    }
}
