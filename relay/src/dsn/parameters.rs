//! Both forms of a connection string as one set of parameters.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error as _;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;

use super::DsnError;

/// The parameters by name; the last one of a name counts.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn parse(text: &str) -> Result<Self, DsnError> {
        let mut all = BTreeMap::new();
        match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
            Some(rest) => url(rest, &mut all)?,
            None => pairs(text, &mut all)?,
        }
        Ok(Self(all))
    }

    /// Takes a parameter out.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// What was not taken out is for `tokio-postgres`.
    pub(super) fn rest(self) -> Result<Config, DsnError> {
        let quoted = |text: &str| text.replace('\\', r"\\").replace('\'', r"\'");
        let pairs = self.0.iter().map(|(key, value)| format!("{key}='{}'", quoted(value)));
        let text = pairs.collect::<Vec<_>>().join(" ");
        // Its errors name the parameter and not the value.
        text.parse().map_err(|error: tokio_postgres::Error| {
            DsnError::Rest(error.source().map_or_else(|| error.to_string(), ToString::to_string))
        })
    }
}

/// `user:password@host:port,host:port/database?key=value&key=value`
fn url(text: &str, all: &mut BTreeMap<String, String>) -> Result<(), DsnError> {
    let mut put = |key: &str, value: &str| {
        let decoded = decode(value)?.into_owned();
        all.insert(key.to_owned(), decoded);
        Ok::<_, DsnError>(())
    };
    let mut rest = text;
    if let Some(end) = text.find(['@', '/'])
        && text.as_bytes()[end] == b'@'
    {
        let (user, password) =
            text[..end].split_once(':').map_or((&text[..end], None), |(u, p)| (u, Some(p)));
        if !user.is_empty() {
            put("user", user)?;
        }
        if let Some(password) = password {
            put("password", password)?;
        }
        rest = &text[end + 1..];
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (servers, database) = place.split_once('/').unwrap_or((place, ""));
    if !servers.is_empty() {
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for server in servers.split(',') {
            let (host, port) = match server.strip_prefix('[') {
                Some(v6) => v6.split_once(']').ok_or(DsnError::Form("a bracket is not closed"))?,
                None => server.find(':').map_or((server, ""), |colon| server.split_at(colon)),
            };
            hosts.push(host);
            ports.push(match port {
                "" => "",
                port => port.strip_prefix(':').ok_or(DsnError::Form("what follows a host is no port"))?,
            });
        }
        put("host", &hosts.join(","))?;
        if ports.iter().any(|port| !port.is_empty()) {
            put("port", &ports.join(","))?;
        }
    }
    if !database.is_empty() {
        put("dbname", database)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').ok_or(DsnError::Form("a parameter has no value"))? {
            // Drivers for Java and Go spell it so, and libpq understands it.
            ("ssl", "true") => put("sslmode", "require")?,
            (key, value) => put(&decode(key)?, value)?,
        }
    }
    Ok(())
}

fn decode(text: &str) -> Result<Cow<'_, str>, DsnError> {
    percent_decode_str(text).decode_utf8().map_err(|_| DsnError::Form("a percent-encoded text is not UTF-8"))
}

/// `key=value key = 'value with \' and \\'`
fn pairs(text: &str, all: &mut BTreeMap<String, String>) -> Result<(), DsnError> {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or(DsnError::Form("a parameter has no value"))?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(DsnError::Form("a parameter has no value"));
        }
        let (value, after) = value(after.trim_start())?;
        all.insert(key.to_owned(), value);
        rest = after.trim_start();
    }
    Ok(())
}

/// The value at the start of `text`, and what follows it.
fn value(text: &str) -> Result<(String, &str), DsnError> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            c if c.is_whitespace() && !quoted => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    match quoted {
        true => Err(DsnError::Form("a quote is not closed")),
        false => Ok((value, "")),
    }
}
