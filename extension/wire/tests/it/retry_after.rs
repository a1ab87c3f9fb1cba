use std::time::Duration;

use proptest::prelude::*;
use webhook_wire::retry_after::parse;

/// Sun, 06 Nov 1994 08:49:37 GMT
const NOW: i64 = 784_111_777;

#[test]
fn seconds_and_dates() {
    let day = 86_400;
    let cases: [(&str, Option<u64>); 26] = [
        ("0", Some(0)),
        ("5", Some(5)),
        ("120", Some(120)),
        (" 7\t", Some(7)),
        ("007", Some(7)),
        ("86400", Some(day)),
        ("86401", Some(day)),
        ("1000000000", Some(day)),
        ("99999999999999999999999999", Some(day)),
        ("-1", None),
        ("+5", None),
        ("1.5", None),
        ("1e9", None),
        ("5s", None),
        ("5 5", None),
        ("", None),
        (" ", None),
        ("garbage", None),
        ("\u{0665}", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
        ("Sun Nov  6 08:49:38 1994", Some(1)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(day)),
        ("2026-01-02T03:04:05Z", None),
    ];
    for (header, wait) in cases {
        assert_eq!(parse(header, NOW), wait.map(Duration::from_secs), "{header:?}");
    }
}

proptest! {
    #[test]
    fn never_above_a_day_and_never_a_panic(header: String, seconds: u64, now: i64) {
        for text in [&header, &seconds.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT"] {
            prop_assert!(parse(text, now).is_none_or(|wait| wait <= Duration::from_secs(86_400)));
        }
    }
}
