//! From JSON to [`Options`].

use std::time::Duration;

use serde_json::Value;

use super::{KEYS, Method, OnFailed, Options, OptionsError, StoreResponse, parts};
use crate::{body::Format, signature::Scheme};

const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
const MAX_IN_FLIGHT: std::ops::RangeInclusive<u64> = 1..=10_000;
const MOST_RATE: f64 = 1e6;

pub(super) fn options(value: &Value) -> Result<Options, OptionsError> {
    let object = match value {
        Value::Object(object) => object,
        Value::Null => return Ok(Options::default()),
        _ => return Err(OptionsError::NotAnObject),
    };
    let mut options = Options::default();
    for (key, value) in object {
        if !KEYS.contains(&key.as_str()) {
            return Err(OptionsError::UnknownKey { key: crate::text::excerpt(key) });
        }
        if !value.is_null() {
            set(&mut options, key, value)?;
        }
    }
    options.static_header = parts::static_header(object, options.signature)?;
    parts::check_conflicts(&options)?;
    Ok(options)
}

fn set(options: &mut Options, key: &str, value: &Value) -> Result<(), OptionsError> {
    match key {
        "method" => options.method = method(key, value)?,
        "headers" => options.headers = parts::headers(key, value)?,
        "params" => options.params = parts::params(key, value)?,
        "auth" => options.auth = Some(parts::auth(key, value)?),
        "format" => {
            let format = value.as_str().and_then(|text| Format::parse(text).ok());
            options.format = format.ok_or_else(|| one_of(key, value, &Format::ALL.map(Format::text)))?;
        }
        "signature" => {
            let scheme = value.as_str().and_then(|text| Scheme::parse(text).ok());
            options.signature = scheme.ok_or_else(|| one_of(key, value, &Scheme::ALL.map(Scheme::text)))?;
        }
        "timeout_ms" => {
            let millis = value.as_u64().filter(|millis| TIMEOUT_MS.contains(millis));
            let millis =
                millis.ok_or_else(|| OptionsError::invalid(key, value, "an integer from 100 to 60000"))?;
            options.timeout = Duration::from_millis(millis);
        }
        "retry_schedule" => options.retry_schedule = parts::schedule(key, value)?,
        "max_in_flight" => {
            let count = value.as_u64().filter(|count| MAX_IN_FLIGHT.contains(count));
            let count =
                count.ok_or_else(|| OptionsError::invalid(key, value, "an integer from 1 to 10000"))?;
            options.max_in_flight = Some(count as u32);
        }
        "rate_limit" => {
            let rate = value.as_f64().filter(|&rate| rate > 0.0 && rate <= MOST_RATE);
            let expected = "a number of requests per second, above 0 and at most 1000000";
            options.rate_limit = Some(rate.ok_or_else(|| OptionsError::invalid(key, value, expected))?);
        }
        "ordered" => options.ordered = boolean(key, value)?,
        "on_failed" => options.on_failed = choice(key, value, OnFailed::ALL, OnFailed::text)?,
        "store_response" => {
            options.store_response = choice(key, value, StoreResponse::ALL, StoreResponse::text)?;
        }
        "keep_backlog" => options.keep_backlog = boolean(key, value)?,
        "client_cert" => options.client_cert = Some(parts::client_cert(key, value)?),
        // `header_name` and `header_value` make sense only together.
        _ => {}
    }
    Ok(())
}

fn boolean(key: &str, value: &Value) -> Result<bool, OptionsError> {
    value.as_bool().ok_or_else(|| OptionsError::invalid(key, value, "true or false"))
}

fn choice<T: Copy, const N: usize>(
    key: &str,
    value: &Value,
    all: [T; N],
    text: fn(T) -> &'static str,
) -> Result<T, OptionsError> {
    let found = all.into_iter().find(|&one| value.as_str() == Some(text(one)));
    found.ok_or_else(|| one_of(key, value, &all.map(text)))
}

fn one_of(key: &str, value: &Value, texts: &[&str]) -> OptionsError {
    OptionsError::invalid(key, value, format!("one of {}", texts.join(", ")))
}

fn method(key: &str, value: &Value) -> Result<Method, OptionsError> {
    let found = Method::ALL
        .into_iter()
        .find(|method| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(method.text())));
    found.ok_or_else(|| one_of(key, value, &Method::ALL.map(Method::text)))
}
