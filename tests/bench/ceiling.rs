//! What the machine can do at best: the same requests, signed the same way, by a bare reqwest loop.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::task::JoinSet;

/// Requests under way at a time: more gains nothing on two cores.
const IN_FLIGHT: usize = 64;

/// Sends `count` signed requests to `url`; returns how long that took.
pub async fn send(url: &str, count: usize) -> Duration {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let start = Instant::now();
    let mut senders = JoinSet::new();
    for first in 0..IN_FLIGHT {
        let (client, url) = (client.clone(), url.to_string());
        senders.spawn(async move {
            for n in (first..count).step_by(IN_FLIGHT) {
                let id = format!("evt_01kaj8zq3vf8r9v7w{n:09}");
                let text = "x".repeat(481 - n.to_string().len());
                let data = format!(r#"{{"n":{n},"text":"{text}"}}"#);
                let answer = request(&client, &url, &id, &data).send().await.expect("the sink answers");
                assert_eq!(answer.status(), 200);
                answer.bytes().await.expect("a body");
            }
        });
    }
    senders.join_all().await;
    start.elapsed()
}

/// One such request, of an event.
pub fn request(client: &reqwest::Client, url: &str, id: &str, data: &str) -> reqwest::RequestBuilder {
    let body = format!(
        r#"{{"id":"{id}","type":"bench.tick","created_at":"2026-01-02T03:04:05.678Z","data":{data}}}"#
    );
    let hex = sign(b"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", &[body.as_bytes()])
        .iter()
        .fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"));
    let signed = sign(&[7; 32], &[id.as_bytes(), b".1767323045.", body.as_bytes()]);
    client
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", "ceiling")
        .header("x-webhook-id", "wh_01kaj8zq3vf8r9v7w000000000")
        .header("x-webhook-event", "bench.tick")
        .header("x-webhook-delivery", id)
        .header("webhook-id", id)
        .header("webhook-timestamp", "1767323045")
        .header("x-webhook-signature", format!("sha256={hex}"))
        .header("webhook-signature", format!("v1,{}", STANDARD.encode(signed)))
        .body(body)
}

fn sign(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}
