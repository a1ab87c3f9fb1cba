//! The bytes of a webhook, and the rules that decide about them.
//!
//! The extension checks, previews and renders with this crate; the relay matches, signs and sends with it.
//! Both sides agree by construction. Everything here is pure: callers bring the clock, random bits and
//! sockets.

mod text;

pub mod body;
pub mod event_type;
pub mod filter;
pub mod id;
pub mod json;
pub mod key;
pub mod options;
pub mod request;
pub mod retry_after;
pub mod seal;
pub mod secret;
pub mod signature;
pub mod target;
pub mod window;
