//! The relay's protocols as small models of which every reachable state is looked at.
//!
//! `outbox`: reading, sending, recording, pending, takeover. `doorbell`: sleeping without missing a commit (docs/wakeup.md).
//! Each rule that a protocol rests on can be left out; a test shows that the search then finds what goes wrong.

mod doorbell;
mod outbox;
mod search;
