//! Text values of a row, laid out as Postgres stores them, in memory that every row uses again.

use pgrx::pg_sys;

/// Each value is a four-byte header with its length and the bytes, at a multiple of four.
pub struct Texts(Vec<u32>);

/// Where a value begins.
pub struct Place(usize);

impl Texts {
    /// Empty, and without memory yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Forgets the values and keeps the memory, unless one was very large.
    pub fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(64 * 1024);
    }

    /// Copies a value.
    pub fn push(&mut self, bytes: &[u8]) -> Place {
        let place = Place(self.0.len());
        let size = bytes.len() + 4;
        // The length of an uncompressed value stands above two zero bits on little-endian machines, below them on others.
        self.0.push(if cfg!(target_endian = "little") {
            (size as u32) << 2
        } else {
            size as u32 & 0x3fff_ffff
        });
        self.0.resize(place.0 + size.div_ceil(4), 0);
        // SAFETY: the words after the header were just made and have room for the bytes.
        unsafe {
            let start = self.0.as_mut_ptr().add(place.0 + 1).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
        }
        place
    }

    /// The value as Postgres knows it; valid until something else is pushed.
    pub fn datum(&self, place: Place) -> pg_sys::Datum {
        pg_sys::Datum::from(self.0[place.0..].as_ptr())
    }
}
