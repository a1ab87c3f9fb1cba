//! Connecting: resolve, ask the policy about every address, dial one of them, greet by TLS.
//!
//! The address that was vetted is the address that is dialled, at every connection, so a name that resolves to
//! something else a moment later gains nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use webhook_wire::target::{Blocked, Policy};

use super::pool::Origin;
use super::tls::{Tls, noticing};
use crate::outcome::Failure;

const RESOLVE_TIME: Duration = Duration::from_secs(2);
/// For one address, when there are others to try.
const DIAL_TIME: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    Name,
    Blocked(Blocked),
    OwnAddress(IpAddr),
    ClientCert,
    Dns(String),
    Dial(io::Error),
    Tls(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Failure::from(self).text())
    }
}

impl std::error::Error for ConnectError {}

impl From<&ConnectError> for Failure {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Name => Self::Tls("no certificate can name this host".to_owned()),
            ConnectError::Blocked(blocked) => Self::Blocked(blocked.to_string()),
            ConnectError::OwnAddress(ip) => Self::Blocked(format!("{ip} is this machine's own address")),
            ConnectError::ClientCert => {
                Self::Tls("the relay has no client certificate of that name".to_owned())
            }
            ConnectError::Dns(why) => Self::Dns(why.clone()),
            ConnectError::Dial(error) => Self::Connect(error.kind().to_string()),
            ConnectError::Tls(error) => Self::Tls(error.to_string()),
        }
    }
}

/// Makes vetted connections.
#[derive(Clone)]
pub(super) struct Connector {
    policy: Arc<Policy>,
    tls: Arc<Tls>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(policy: Policy, tls: Tls) -> Self {
        Self { policy: Arc::new(policy), tls: Arc::new(tls) }
    }

    /// A connection to an address of that origin, if the policy allows all of them.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Stream, ConnectError> {
        let (scheme, usual_port) = if origin.secure { ("https", 443) } else { ("http", 80) };
        let host = origin.authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = origin.authority.port_u16().unwrap_or(usual_port);
        let addresses = resolve(host, port).await?;
        for address in &addresses {
            self.policy.check(scheme, host, port, address.ip()).map_err(ConnectError::Blocked)?;
        }
        let stream = dial(&addresses).await.map_err(ConnectError::Dial)?;
        self.refuse_ourselves(&stream, host)?;
        if !origin.secure {
            return Ok(Stream::Plain(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Name)?;
        let tls = self.tls.connector(origin.client_cert.as_deref()).ok_or(ConnectError::ClientCert)?;
        let (stream, asked) = noticing(tls.connect(name, stream)).await;
        let stream = stream.map_err(ConnectError::Tls)?;
        Ok(Stream::Tls(Box::new(stream), asked))
    }

    /// A connection from an address to itself leads to this machine, public as the address may look.
    fn refuse_ourselves(&self, stream: &TcpStream, host: &str) -> Result<(), ConnectError> {
        let peer = stream.peer_addr().map_err(ConnectError::Dial)?;
        let own = stream.local_addr().map_err(ConnectError::Dial)?.ip() == peer.ip();
        // Without the general permission, plain http passes only where the operator has named the target.
        let named = Policy { allow: self.policy.allow.clone(), allow_http: false };
        match own && named.check("http", host, peer.port(), peer.ip()).is_err() {
            true => Err(ConnectError::OwnAddress(peer.ip())),
            false => Ok(()),
        }
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let looked_up = tokio::time::timeout(RESOLVE_TIME, tokio::net::lookup_host((host, port))).await;
    let found: Vec<_> = match looked_up {
        Err(_) => return Err(ConnectError::Dns("no answer in time".to_owned())),
        Ok(Err(error)) => return Err(ConnectError::Dns(error.to_string())),
        Ok(Ok(found)) => found.collect(),
    };
    match found.is_empty() {
        true => Err(ConnectError::Dns("the name has no address".to_owned())),
        false => Ok(found),
    }
}

async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let connecting = TcpStream::connect(address);
        let connected = match addresses.len() {
            1 => connecting.await,
            _ => tokio::time::timeout(DIAL_TIME, connecting).await.unwrap_or_else(|late| Err(late.into())),
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A connection, with or without TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>, bool),
}

impl Stream {
    /// True when both sides have agreed on HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream, _) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// True when the receiver asked for a client certificate and there was none: whether it minds shows when it answers.
    pub(super) fn was_asked(&self) -> bool {
        matches!(self, Self::Tls(_, true))
    }

    /// Ends it at once: what the other side has not got yet it never gets.
    pub(super) fn reset(self) {
        let stream = match &self {
            Self::Plain(stream) => stream,
            Self::Tls(stream, _) => stream.get_ref().0,
        };
        let _ = stream.set_zero_linger();
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream, _) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream, _) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream, _) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream, _) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
}
