//! The options that are more than one word or number.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Auth, Options, OptionsError, header, interval};
use crate::{secret::Secret, signature::Scheme};

const MOST_RETRIES: usize = 64;
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const MOST_ENTRIES: usize = 64;

/// The text of a string, number or boolean.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn entries<'a>(key: &str, value: &'a Value) -> Result<&'a Map<String, Value>, OptionsError> {
    value.as_object().filter(|entries| entries.len() <= MOST_ENTRIES).ok_or_else(|| {
        OptionsError::invalid_secret(key, format!("an object of at most {MOST_ENTRIES} names and texts"))
    })
}

pub(super) fn headers(key: &str, value: &Value) -> Result<Vec<(String, Secret)>, OptionsError> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (name, value) in entries(key, value)? {
        let fail = |expected| OptionsError::invalid_secret(&format!("{key}.{name}"), expected);
        header::check_name(name).map_err(fail)?;
        let value = scalar(value).ok_or_else(|| fail("a text"))?;
        header::check_value(&value).map_err(fail)?;
        if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(fail("named once: letter case makes no difference"));
        }
        headers.push((name.clone(), Secret::opaque(value)));
    }
    Ok(headers)
}

pub(super) fn params(key: &str, value: &Value) -> Result<Vec<(String, Secret)>, OptionsError> {
    let mut params = Vec::new();
    for (name, value) in entries(key, value)? {
        let fail = || OptionsError::invalid_secret(&format!("{key}.{name}"), "a text, number or boolean");
        params.push((name.clone(), Secret::opaque(scalar(value).ok_or_else(fail)?)));
    }
    Ok(params)
}

pub(super) fn auth(key: &str, value: &Value) -> Result<Auth, OptionsError> {
    let fail =
        || OptionsError::invalid_secret(key, "{\"username\": text without a colon, \"password\": text}");
    let object = value.as_object().filter(|object| object.len() == 2).ok_or_else(fail)?;
    let part = |name: &str| {
        let text = object.get(name).and_then(Value::as_str);
        text.filter(|text| text.len() <= 1024 && !text.chars().any(char::is_control))
    };
    let username = part("username").filter(|username| !username.contains(':')).ok_or_else(fail)?;
    let password = part("password").ok_or_else(fail)?;
    Ok(Auth { username: username.to_owned(), password: Secret::opaque(password) })
}

pub(super) fn schedule(key: &str, value: &Value) -> Result<Vec<Duration>, OptionsError> {
    let pauses = value.as_array().filter(|pauses| pauses.len() <= MOST_RETRIES).ok_or_else(|| {
        OptionsError::invalid(key, value, format!("an array of at most {MOST_RETRIES} intervals"))
    })?;
    let pause = |value: &Value| {
        let pause = match value {
            Value::String(text) => interval::parse(text),
            _ => value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        };
        pause.filter(|&pause| pause <= LONGEST_PAUSE).ok_or_else(|| {
            let expected = "intervals like \"5 minutes\" or numbers of seconds, none above 30 days";
            OptionsError::invalid(key, value, expected)
        })
    };
    pauses.iter().map(pause).collect()
}

pub(super) fn client_cert(key: &str, value: &Value) -> Result<String, OptionsError> {
    let name = value.as_str().filter(|name| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
    });
    // Somebody may have pasted a key, so the value is not repeated.
    let expected = "the name of a certificate of the relay: letters, digits, dots, _ and -, at most 128";
    name.map(str::to_owned).ok_or_else(|| OptionsError::invalid_secret(key, expected))
}

pub(super) fn static_header(
    object: &Map<String, Value>,
    signature: Scheme,
) -> Result<Option<(String, Secret)>, OptionsError> {
    let text = |key: &'static str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(OptionsError::invalid_secret(key, "a text")),
    };
    let (name, value) = (text("header_name")?, text("header_value")?);
    if let Some(name) = name {
        header::check_static_name(name)
            .map_err(|expected| OptionsError::invalid_secret("header_name", expected))?;
    }
    if let Some(value) = value {
        header::check_value(value)
            .map_err(|expected| OptionsError::invalid_secret("header_value", expected))?;
    }
    match (signature, name, value) {
        (Scheme::Static, Some(name), Some(value)) => Ok(Some((name.clone(), Secret::opaque(value)))),
        (Scheme::Static, None, _) => {
            Err(OptionsError::invalid_secret("header_name", "set for signature static"))
        }
        (Scheme::Static, _, None) => {
            Err(OptionsError::invalid_secret("header_value", "set for signature static"))
        }
        _ => Ok(None),
    }
}

/// No header may be set twice.
pub(super) fn check_conflicts(options: &Options) -> Result<(), OptionsError> {
    let authorization = options.auth.as_ref().map(|_| "authorization");
    let fixed = options.static_header.as_ref().map(|(name, _)| name.as_str());
    let custom = |name: &str| options.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let twice =
        |name: &str| custom(name) || (authorization.is_some() && name.eq_ignore_ascii_case("authorization"));
    if authorization.is_some_and(custom) {
        return Err(OptionsError::invalid_secret("auth", "unset when headers sets Authorization"));
    }
    if fixed.is_some_and(twice) {
        return Err(OptionsError::invalid_secret("header_name", "a header that headers and auth do not set"));
    }
    Ok(())
}
