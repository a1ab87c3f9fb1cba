//! A filter and data, two lines of JSON: nothing panics, the explanation agrees with the answer, and `$not` turns it round.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use webhook_wire::{filter::Filter, json};

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (Ok(config), Ok(data)) = (json::value(&input[..end]), json::value(&input[end + 1..])) else { return };
    let Ok(filter) = Filter::parse(&config) else { return };
    let matches = filter.matches(&data);
    assert_eq!(filter.explain(&data).is_none(), matches);
    // One level deeper it may be too deep.
    if let Ok(not) = Filter::parse(&json!({ "$not": config })) {
        assert_eq!(not.matches(&data), !matches);
    }
});
