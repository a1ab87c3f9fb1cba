//! What no input may break in the pure crate, one law a target; a law panics where it does not hold. `make fuzz` searches
//! for such inputs, and the tests of `webhook-wire` replay the seeds.

pub mod laws;
