//! From a delivery to a signed request: everything but the network.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{HeaderName, HeaderValue};
use webhook_wire::request as wire;

use crate::event::Event;
use crate::matching::Hook;
use crate::outcome::Failure;

/// A request that is ready to go.
#[derive(Debug)]
pub struct Signed {
    /// What goes over the wire.
    pub request: Request<Full<Bytes>>,
    /// Name of the client certificate to show.
    pub client_cert: Option<String>,
}

/// Renders and signs the request of one attempt at `unix_seconds`. The bytes that are signed are the bytes that go.
pub fn sign(hook: &Hook, event: &Event, delivery_id: &str, unix_seconds: i64) -> Result<Signed, Failure> {
    let body = event.body(hook.options().format)?;
    let rendered = wire::render(&hook.endpoint, &event.as_wire()?, delivery_id, &body, unix_seconds);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = rendered.method.parse().map_err(|_| refused("method"))?;
    *request.uri_mut() = rendered.url.try_into().map_err(|_| refused("url"))?;
    let headers = request.headers_mut();
    headers.reserve(rendered.headers.len() + 2);
    for (name, value) in rendered.headers {
        // The value may be a secret, so only the name is told.
        let value = HeaderValue::try_from(value).map_err(|_| refused(&name))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused(&name))?;
        headers.insert(name, value);
    }
    Ok(Signed { request, client_cert: hook.options().client_cert.clone() })
}

fn refused(part: &str) -> Failure {
    Failure::BadRequest(format!("{part} cannot be sent"))
}
