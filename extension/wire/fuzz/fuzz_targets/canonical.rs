//! Any bytes as JSON: nothing panics, what is refused leaves nothing behind, and what is canonical stays as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use webhook_wire::json;

fuzz_target!(|input: &[u8]| {
    let mut once = Vec::new();
    if json::canonical(input, &mut once).is_err() {
        assert!(once.is_empty());
        return;
    }
    let mut twice = Vec::new();
    json::canonical(&once, &mut twice).expect("canonical JSON is JSON");
    assert_eq!(once, twice);
});
