//! New ids, in strictly rising order within one process (RFC 9562 section 6.2, method 3).

use super::Id;

/// The 12 bits below the milliseconds count fractions of one, about 244 ns each.
const FRACTION_BITS: u32 = 12;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// Makes ids that only rise, whatever the clock does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generator {
    /// Milliseconds and their fraction of the last id.
    last: u64,
}

impl Generator {
    /// A generator that has made no id yet.
    pub const fn new() -> Self {
        Self { last: 0 }
    }

    /// The next id. When the clock stands or steps back, it is the last id's time plus one fraction.
    /// Of `random` 62 bits are used; they must be unpredictable enough that two processes never agree.
    pub const fn next(&mut self, unix_nanos: u64, random: u64) -> Id {
        let millis = unix_nanos / NANOS_PER_MILLI;
        let fraction = ((unix_nanos % NANOS_PER_MILLI) << FRACTION_BITS) / NANOS_PER_MILLI;
        let now = (millis << FRACTION_BITS) | fraction;
        self.last = if now > self.last { now } else { self.last + 1 };
        let fraction = self.last & ((1 << FRACTION_BITS) - 1);
        Id::new(self.last >> FRACTION_BITS, ((fraction as u128) << 64) | random as u128)
    }
}
