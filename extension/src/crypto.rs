//! Signatures and secrets in SQL.

use pgrx::pg_extern;
use serde_json::Value;
use webhook_wire::{
    request::names_a_secret,
    seal::{self, PublicKey},
    secret::{self, Secret, SecretError},
    signature::{self, Scheme},
};

use crate::{
    error::{Error, OrRaise},
    ids,
    jsonb::Jsonb,
    network_text::{from_utf8_lossy, text, to_utf8},
};

/// In place of a secret among the options.
const MASK: &str = "[redacted]";

/// The scheme of that name, which must be one that signs.
fn scheme(name: Option<&str>) -> Scheme {
    let name = name.unwrap_or("sha256");
    match Scheme::parse(name) {
        Ok(scheme @ (Scheme::Sha256 | Scheme::Hex | Scheme::Standard)) => scheme,
        _ => Error::OutOfRange {
            argument: "scheme",
            value: name.to_owned(),
            hint: "Schemes that sign are sha256, hex and standard.",
        }
        .raise(),
    }
}

/// The secret, which must not be a sealed one: as a text like any other it would sign what no receiver can verify.
fn plain(secret: &str) -> &str {
    match seal::key_id(secret) {
        Some(_) => Error::from(SecretError::Sealed).raise(),
        None => secret,
    }
}

#[pg_extern(sql = false)]
fn webhook_sign(payload: Option<&[u8]>, secret: Option<&[u8]>, name: Option<&str>) -> Option<String> {
    let scheme = scheme(name);
    signature::sign(&to_utf8(payload?), plain(&text(secret?)), scheme).or_raise()
}

#[pg_extern(sql = false)]
fn webhook_verify(
    payload: Option<&[u8]>,
    signature: Option<&[u8]>,
    secret: Option<&[u8]>,
    name: Option<&str>,
    id: Option<&str>,
    timestamp: Option<i64>,
) -> Option<bool> {
    let scheme = scheme(name);
    let (payload, given, secret) = (to_utf8(payload?), text(signature?), text(secret?));
    let signed = match (scheme, id, timestamp) {
        (Scheme::Standard, Some(id), Some(timestamp)) => {
            [format!("{id}.{timestamp}.").as_bytes(), &payload].concat().into()
        }
        _ => payload,
    };
    Some(signature::verify(&signed, &given, plain(&secret), scheme).or_raise())
}

#[pg_extern(sql = false)]
fn _new_secret() -> String {
    let mut random = [0_u8; 32];
    ids::fill_random(&mut random);
    Secret::generate(random).expose().to_owned()
}

#[pg_extern(sql = false)]
fn _kind(secret: Option<&[u8]>) -> Option<String> {
    Some(Secret::new(text(secret?)).or_raise().kind())
}

#[pg_extern(sql = false)]
fn _seal(public_key: &str, webhook_id: &str, secret: &[u8]) -> String {
    let mut random = [0_u8; 32];
    ids::fill_random(&mut random);
    PublicKey::parse(public_key).or_raise().seal(&Secret::new(text(secret)).or_raise(), webhook_id, random)
}

// As bytes: a String would be taken for text of the database's encoding, which need not have the dots.
#[pg_extern(sql = false)]
fn _masked(kind: Option<&str>) -> Option<Vec<u8>> {
    Some(from_utf8_lossy(secret::masked(&secret::kind_of(kind?)).as_bytes()))
}

/// Options as anybody may see them: passwords, and headers and parameters with names of secrets, masked.
#[pg_extern(sql = false)]
fn _masked_options(options: Option<Jsonb>) -> Option<Jsonb> {
    let mut options = options?;
    let mask = |value: &mut Value| *value = Value::from(MASK);
    if let Some(password) = options.0.pointer_mut("/auth/password") {
        mask(password);
    }
    if let Some(value) = options.0.get_mut("header_value") {
        mask(value);
    }
    for kind in ["headers", "params"] {
        if let Some(Value::Object(named)) = options.0.get_mut(kind) {
            named.iter_mut().filter(|(name, _)| names_a_secret(name)).for_each(|(_, value)| mask(value));
        }
    }
    Some(options)
}
