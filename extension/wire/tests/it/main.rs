//! Tests of the wire crate: tables, published vectors and properties, by module.

mod body;
mod event_type;
mod filter;
mod filter_laws;
mod fuzz_seeds;
mod id;
mod json;
mod key;
mod options;
mod request;
mod retry_after;
mod seal;
mod secret;
mod signature;
mod target_address;
mod target_allow;
mod target_url;
mod window;
