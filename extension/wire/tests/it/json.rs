use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Map, Value};
use webhook_wire::json::{JsonError, MAX_DEPTH, canonical, value};

fn canon(src: impl AsRef<[u8]>) -> Result<String, JsonError> {
    let mut out = Vec::new();
    canonical(src.as_ref(), &mut out).map(|()| String::from_utf8(out).expect("UTF-8"))
}

#[test]
fn numbers_as_node_prints_them() {
    // The right column: JSON.stringify(JSON.parse(left)) of Node 20 where that is exactly the same number,
    // else left.
    let table = include_str!("golden/numbers.tsv");
    for line in table.lines() {
        let (src, expected) = line.split_once('\t').expect("two columns");
        assert_eq!(canon(src).as_deref(), Ok(expected), "{src}");
        assert_eq!(canon(expected).as_deref(), Ok(expected), "{src}");
        assert_eq!(canon(format!(" [ {src} ] ")), Ok(format!("[{expected}]")));
    }
    assert!(table.lines().count() > 100);
}

#[test]
fn long_numbers_keep_every_digit() {
    let digits = format!("1{}.5", "234567890".repeat(15_000));
    assert_eq!(canon(&digits).as_deref(), Ok(digits.as_str()));
    let zeros = format!("1{}", "0".repeat(131_071));
    assert_eq!(canon(zeros).as_deref(), Ok(format!("1{}", "0".repeat(131_071)).as_str()));
    assert_eq!(canon(format!("2{}", "0".repeat(300))).as_deref(), Ok("2e+300"));
    assert_eq!(canon(format!("0.{}7", "0".repeat(300))).as_deref(), Ok("7e-301"));
}

#[test]
fn strings_as_node_escapes_them() {
    let cases = [
        (r#""plain""#, r#""plain""#),
        (r#""""#, r#""""#),
        (r#""\u0041\u00e9\u20AC""#, r#""Aé€""#),
        (r#""a\/b""#, r#""a/b""#),
        (r#""\"\\\b\f\n\r\t""#, r#""\"\\\b\f\n\r\t""#),
        (r#""\u0008\u000c\u000a\u000D\u0009\u0022\u005C\u002f""#, r#""\b\f\n\r\t\"\\/""#),
        (r#""\u0000\u001F\u000B""#, r#""\u0000\u001f\u000b""#),
        ("\"\u{7f}\u{2028}\u{2029}\u{feff}\"", "\"\u{7f}\u{2028}\u{2029}\u{feff}\""),
        (r#""\u007f\u2028""#, "\"\u{7f}\u{2028}\""),
        (r#""\ud83d\uDE00""#, "\"😀\""),
        ("\"😀\"", "\"😀\""),
        (r#""\uD83D""#, r#""\ud83d""#),
        (r#""\uDE00\uD83D""#, r#""\ude00\ud83d""#),
        (r#""\uD83Dx\uDE00""#, r#""\ud83dx\ude00""#),
        (r#""\uD83D\uD83D\uDE00""#, r#""\ud83d😀""#),
        (r#""\uD83D\n\uDE00""#, r#""\ud83d\n\ude00""#),
        (r#""\uFFFF\uffff""#, "\"\u{ffff}\u{ffff}\""),
    ];
    for (src, expected) in cases {
        assert_eq!(canon(src).as_deref(), Ok(expected), "{src}");
        assert_eq!(canon(format!("{{{src}:1}}")), Ok(format!("{{{expected}:1}}")), "{src}");
    }
}

#[test]
fn keys_in_the_order_of_a_javascript_object() {
    let cases = [
        (r#"{"b":1,"a":2}"#, r#"{"b":1,"a":2}"#),
        (r#"{"b":1,"2":2,"a":3,"1":4}"#, r#"{"1":4,"2":2,"b":1,"a":3}"#),
        (r#"{"a":{"y":0,"0":1},"10":0,"9":1}"#, r#"{"9":1,"10":0,"a":{"0":1,"y":0}}"#),
        // No array index: leading zero, sign, fraction, 2^32 - 1 and beyond.
        (r#"{"01":1,"-1":2,"1.0":3,"1e1":4,"":5,"7":6}"#, r#"{"7":6,"01":1,"-1":2,"1.0":3,"1e1":4,"":5}"#),
        (
            r#"{"99999999999":0,"4294967296":1,"4294967295":2,"4294967294":3,"0":4}"#,
            r#"{"0":4,"4294967294":3,"99999999999":0,"4294967296":1,"4294967295":2}"#,
        ),
        (r#"{"b":0,"\u0031":1}"#, r#"{"1":1,"b":0}"#),
        (r#"{"__proto__":1,"constructor":2,"length":3}"#, r#"{"__proto__":1,"constructor":2,"length":3}"#),
        // Nothing is lost: duplicates stay, in their order.
        (r#"{"a":1,"a":2,"b":3,"a":4}"#, r#"{"a":1,"a":2,"b":3,"a":4}"#),
        (r#"{"x":0,"1":"first","1":"second"}"#, r#"{"1":"first","1":"second","x":0}"#),
    ];
    for (src, expected) in cases {
        assert_eq!(canon(src).as_deref(), Ok(expected), "{src}");
    }
}

#[test]
fn white_space_goes() {
    assert_eq!(
        canon(" \t\r\n[ 1 ,\n{ \"a b\" : [ ] , \"c\":{ } } , null,true ,false ] \n").as_deref(),
        Ok(r#"[1,{"a b":[],"c":{}},null,true,false]"#)
    );
}

#[test]
fn what_is_not_json_is_refused_at_its_byte() {
    let cases: [(&str, usize); 40] = [
        ("", 0),
        ("   ", 3),
        ("nul", 0),
        ("nulll", 4),
        ("True", 0),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[", 1),
        ("]", 0),
        ("{", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{a:1}", 1),
        ("{1:1}", 1),
        ("{\"a\" 1}", 5),
        ("{\"a\":1 \"b\":2}", 7),
        ("1 2", 2),
        ("01", 1),
        ("-", 1),
        ("+1", 0),
        (".5", 0),
        ("1.", 2),
        ("1.e1", 2),
        ("1e", 2),
        ("1e+", 3),
        ("-a", 1),
        ("0x10", 1),
        ("NaN", 0),
        ("Infinity", 0),
        ("\"a", 2),
        ("\"a\nb\"", 2),
        ("\"\\x\"", 2),
        ("\"\\u12\"", 5),
        ("\"\\u+123\"", 3),
        ("\"\\ud800\\u12g4\"", 11),
        ("'a'", 0),
        ("[1]]", 3),
        ("\u{feff}1", 0),
    ];
    for (src, offset) in cases {
        assert_eq!(canon(src), Err(JsonError::Syntax { offset }), "{src:?}");
    }
    assert_eq!(canon([b'"', 0xff, b'"']), Err(JsonError::InvalidUtf8));
    assert_eq!(canon(b"\"\xed\xa0\x80\""), Err(JsonError::InvalidUtf8));
}

#[test]
fn an_error_leaves_the_output_as_it_was() {
    let mut out = b"before".to_vec();
    assert!(canonical(b"[1,2,", &mut out).is_err());
    assert_eq!(out, b"before");
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(canon(nested(MAX_DEPTH)), Ok(nested(MAX_DEPTH)));
    assert_eq!(canon(nested(MAX_DEPTH + 1)), Err(JsonError::TooDeep));
    assert_eq!(canon("{\"a\":".repeat(1_000_000)), Err(JsonError::TooDeep));
    assert_eq!(canon("[[]],".repeat(3)), Err(JsonError::Syntax { offset: 4 }));
}

#[test]
fn values_hold_what_serde_json_refuses() {
    let text = |src: &str| value(src.as_bytes()).map(|value| value.to_string());
    assert_eq!(
        text(r#"{"a":"\ud800\u0041","\udfff":["\n\ud8ab\""]}"#).as_deref(),
        Ok("{\"a\":\"\u{fffd}A\",\"\u{fffd}\":[\"\\n\u{fffd}\\\"\"]}")
    );
    assert_eq!(
        text(r#"[1e400,-1e400, 1 ,{},[],{"a":[]},"\\ud800"]"#).as_deref(),
        Ok(r#"[1.7976931348623157e+308,-1.7976931348623157e+308,1,{},[],{"a":[]},"\\ud800"]"#)
    );
    assert_eq!(text(r#"{"a":1,"a":"\ud800"}"#).as_deref(), Ok("{\"a\":\"\u{fffd}\"}"));
    let deep = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
    assert!(value(deep.as_bytes()).is_ok());
    assert_eq!(value(b"[1"), Err(JsonError::Syntax { offset: 2 }));
    assert_eq!(value(b"\"\xff\""), Err(JsonError::InvalidUtf8));
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let key = prop_oneof![any::<String>(), any::<u8>().prop_map(|index| index.to_string())];
    scalar.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Equal, where 1.0 is 1 and `serde_json`'s reading of an `f64` may be off by its last bits.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().expect("a float"), b.as_f64().expect("a float"));
            (a - b).abs() <= a.abs() * 1e-15 + 1e-320
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// The same value in another spelling, by the bits of `taste`.
fn respell(value: &Value, taste: &mut impl FnMut() -> u8, out: &mut String) {
    let space = |taste: u8, out: &mut String| out.push_str(["", " ", "\n", "\t\r "][usize::from(taste % 4)]);
    space(taste(), out);
    match value {
        Value::String(text) => {
            out.push('"');
            for unit in text.encode_utf16().collect::<Vec<_>>() {
                let _ = write!(out, "\\u{unit:04X}");
            }
            out.push('"');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                respell(item, taste, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                respell(&Value::from(key.as_str()), taste, out);
                out.push(':');
                respell(value, taste, out);
            }
            out.push('}');
        }
        Value::Number(number) if number.is_f64() && taste() < 128 => {
            let text = number.to_string();
            let _ = match text.split_once('e') {
                Some((digits, exponent)) if digits.contains('.') => write!(out, "{digits}00E{exponent}"),
                Some((digits, exponent)) => write!(out, "{digits}.0E{exponent}"),
                None => write!(out, "{text}00e+0"),
            };
        }
        scalar => out.push_str(&scalar.to_string()),
    }
    space(taste(), out);
}

proptest! {
    #[test]
    fn canonical_text_means_the_same_and_is_canonical(value in any_value()) {
        let text = canon(value.to_string()).expect("JSON");
        let reread: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert!(same(&reread, &value), "{} {}", text, value);
        prop_assert_eq!(canon(&text), Ok(text));
    }

    #[test]
    fn spelling_makes_no_difference(value in any_value(), tastes in prop::collection::vec(any::<u8>(), 64)) {
        let mut tastes = tastes.iter().copied().cycle();
        let mut respelled = String::new();
        respell(&value, &mut || tastes.next().unwrap_or_default(), &mut respelled);
        prop_assert_eq!(canon(&respelled), canon(value.to_string()), "{}", respelled);
    }

    #[test]
    fn agrees_with_serde_json_on_what_is_json(text in "[\\[\\]{},:\"\\\\0-9eE.+\\- a-fntrul]{0,24}") {
        let theirs = serde_json::from_str::<Value>(&text);
        if theirs.is_ok() {
            prop_assert!(canon(&text).is_ok(), "{}", text);
        } else if let Ok(ours) = canon(&text) {
            // Only for what a tree of f64 and UTF-8 cannot hold.
            prop_assert!(ours.contains(['e', 'E']) || ours.contains("\\ud"), "{}", text);
        }
    }

    #[test]
    fn bytes_never_panic(bytes: Vec<u8>) {
        let _ = canon(&bytes);
        let _ = value(&bytes);
    }
}
