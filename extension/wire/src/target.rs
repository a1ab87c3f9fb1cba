//! Where requests may go: the text of a URL at create, the address at every connect.

mod address;
mod allow;
mod policy;
mod url;

pub use allow::{Allow, AllowError};
pub use policy::{Blocked, Policy, Reason};
pub use url::{CheckedUrl, Url, UrlError};
