//! The URL of a webhook.

use std::{error::Error, fmt};

use crate::text::{excerpt, percent_encode};

const LONGEST: usize = 2048;
const LONGEST_HOST: usize = 253;

/// Ports of other protocols that a browser's fetch refuses too (WHATWG "bad ports"), in ascending order.
const BAD_PORTS: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
    109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
    526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
    3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// `target::Url::parse(text)` reads well.
pub type Url = CheckedUrl;

/// An http or https URL that is safe to hand to a client: normalised, without userinfo and fragment. Whether
/// its address may be called is decided at connect, by [`Policy`](super::Policy).
///
/// `Debug` leaves out the query, which often holds a token.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckedUrl(::url::Url);

impl CheckedUrl {
    /// Reads and normalises a URL.
    ///
    /// # Errors
    /// [`UrlError`] naming the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let fail = |fault| Err(UrlError { text: redact(text), fault });
        if text.len() > LONGEST {
            return fail(Fault::Long);
        }
        // The parser drops tabs and line breaks and turns backslashes into slashes; nobody means that.
        if let Some(char) =
            text.chars().find(|&char| char.is_control() || char.is_whitespace() || char == '\\')
        {
            return fail(Fault::Character(char));
        }
        let Some((scheme, rest)) = text.split_once(':') else { return fail(Fault::Relative) };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return fail(Fault::Scheme);
        }
        let Some(rest) = rest.strip_prefix("//").filter(|rest| !rest.starts_with('/')) else {
            return fail(Fault::NoHost);
        };
        if text.contains('#') {
            return fail(Fault::Fragment);
        }
        if rest.split(['/', '?']).next().is_some_and(|authority| authority.contains('@')) {
            return fail(Fault::Userinfo);
        }
        let url = match ::url::Url::parse(text) {
            Ok(url) => url,
            Err(error) => return fail(Fault::Parse(error)),
        };
        // Percent-encoded, it may have grown.
        if url.as_str().len() > LONGEST {
            return fail(Fault::Long);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return fail(Fault::Userinfo);
        }
        match url.host_str() {
            None | Some("" | ".") => return fail(Fault::NoHost),
            Some(host) if host.len() > LONGEST_HOST => return fail(Fault::LongHost),
            Some(_) => {}
        }
        match url.port() {
            Some(port) if port == 0 || BAD_PORTS.binary_search(&port).is_ok() => fail(Fault::Port(port)),
            _ => Ok(Self(url)),
        }
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The host as the URL spells it, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The address, when the host is one and no resolver will be asked.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        match self.0.host()? {
            ::url::Host::Ipv4(ip) => Some(ip.into()),
            ::url::Host::Ipv6(ip) => Some(ip.into()),
            ::url::Host::Domain(_) => None,
        }
    }

    /// The port, the scheme's own when the URL names none.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// What logs may show: everything but the query.
    pub fn redacted(&self) -> String {
        self.as_str().split('?').next().unwrap_or_default().to_owned()
    }

    /// The URL with these parameters appended, percent-encoded.
    pub(crate) fn with_params<'a>(&self, params: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let mut text = self.as_str().to_owned();
        let mut separator = match self.0.query() {
            None => "?",
            Some("") => "",
            Some(_) => "&",
        };
        for (name, value) in params {
            text.push_str(separator);
            percent_encode(name, unreserved, &mut text);
            text.push('=');
            percent_encode(value, unreserved, &mut text);
            separator = "&";
        }
        text
    }
}

impl fmt::Debug for CheckedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// A refused text without what may be secret in it: query, fragment and userinfo.
fn redact(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let Some((userinfo, rest)) = text.rsplit_once('@') else { return excerpt(text) };
    let scheme = match userinfo.find("//") {
        Some(at) => &userinfo[..at + 2],
        None => userinfo.split_inclusive(':').next().unwrap_or_default(),
    };
    excerpt(&format!("{scheme}[redacted]@{rest}"))
}

/// What RFC 3986 lets stand in any part of a URL.
fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// A text that cannot be the URL of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError {
    /// Without userinfo and query.
    text: String,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Long,
    Character(char),
    Relative,
    Scheme,
    NoHost,
    Fragment,
    Userinfo,
    Parse(::url::ParseError),
    LongHost,
    Port(u16),
}

impl UrlError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self.fault {
            Fault::Userinfo => "Give a user name and password in options.auth.",
            Fault::Character(_) => "Percent-encode the character, as in %20 for a space.",
            Fault::Fragment => "Leave out everything from the # on; it would never be sent.",
            Fault::Port(_) => "Use the port of an HTTP server.",
            _ => "Give an absolute URL, like https://example.com/webhooks.",
        }
        .to_owned()
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid URL \"{}\": ", self.text)?;
        match self.fault {
            Fault::Long => write!(f, "longer than {LONGEST} bytes, percent-encoded"),
            Fault::Character(char) => write!(f, "character {char:?} is not allowed"),
            Fault::Relative => f.write_str("it is not absolute"),
            Fault::Scheme => f.write_str("only http and https are supported"),
            Fault::NoHost => f.write_str("it names no host"),
            Fault::Fragment => f.write_str("a fragment is not allowed"),
            Fault::Userinfo => f.write_str("a user name or password is not allowed"),
            Fault::Parse(error) => error.fmt(f),
            Fault::LongHost => write!(f, "the host is longer than {LONGEST_HOST} characters"),
            Fault::Port(port) => write!(f, "port {port} is not allowed"),
        }
    }
}

impl Error for UrlError {}
