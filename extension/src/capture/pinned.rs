//! Settings that would change the text of values, pinned while a row is written, so that a session's settings never
//! change the bytes of an event.

use std::cell::Cell;

use pgrx::pg_sys;

unsafe extern "C" {
    /// `utils/adt/varlena.c`; not in pgrx' bindings.
    static mut bytea_output: std::ffi::c_int;
}

/// What `to_json` of money and of names (regclass and its like) also depends on. Pinning these costs microseconds.
struct Sensitive(std::ffi::c_int);

impl Sensitive {
    /// The currency of the configuration, whatever the session says, and names qualified in full.
    fn pin() -> Self {
        // SAFETY: names and values are NUL-terminated; a reset value lives as long as its setting.
        unsafe {
            let level = pg_sys::NewGUCNestLevel();
            let currency = pg_sys::GetConfigOptionResetString(c"lc_monetary".as_ptr());
            for (name, value) in [
                (c"search_path", c"pg_catalog, pg_temp".as_ptr()),
                (c"quote_all_identifiers", c"off".as_ptr()),
                (c"lc_monetary", currency),
            ] {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value,
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
            Self(level)
        }
    }
}

impl Drop for Sensitive {
    fn drop(&mut self) {
        // After an error the end of the transaction or subtransaction does it.
        if !std::thread::panicking() {
            // SAFETY: the level was made in `pin`.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) };
        }
    }
}

/// `BYTEA_OUTPUT_HEX`.
const HEX: std::ffi::c_int = 1;

thread_local! {
    static UTC: Cell<*mut pg_sys::pg_tz> = const { Cell::new(std::ptr::null_mut()) };
}

/// What was set before; put back on drop, also when an error unwinds.
pub struct Settings {
    date_style: i32,
    date_order: i32,
    interval_style: i32,
    float_digits: i32,
    bytea: std::ffi::c_int,
    time_zone: *mut pg_sys::pg_tz,
    _sensitive: Option<Sensitive>,
}

impl Settings {
    /// ISO dates, ISO 8601 offsets in UTC, Postgres intervals, hex bytea, shortest exact floats. `sensitive`: the row may
    /// have money, or names of database objects.
    pub fn pin(sensitive: bool) -> Self {
        // SAFETY: a backend is single-threaded and these are its own plain variables; the zone is loaded once and never freed.
        unsafe {
            let before = Self {
                date_style: pg_sys::DateStyle,
                date_order: pg_sys::DateOrder,
                interval_style: pg_sys::IntervalStyle,
                float_digits: pg_sys::extra_float_digits,
                bytea: bytea_output,
                time_zone: pg_sys::session_timezone,
                _sensitive: sensitive.then(Sensitive::pin),
            };
            if UTC.get().is_null() {
                UTC.set(pg_sys::pg_tzset(c"UTC".as_ptr()));
            }
            pg_sys::DateStyle = pg_sys::USE_ISO_DATES as i32;
            pg_sys::DateOrder = pg_sys::DATEORDER_MDY as i32;
            pg_sys::IntervalStyle = pg_sys::INTSTYLE_POSTGRES as i32;
            pg_sys::extra_float_digits = 1;
            bytea_output = HEX;
            pg_sys::session_timezone = UTC.get();
            before
        }
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // SAFETY: as in `pin`.
        unsafe {
            pg_sys::DateStyle = self.date_style;
            pg_sys::DateOrder = self.date_order;
            pg_sys::IntervalStyle = self.interval_style;
            pg_sys::extra_float_digits = self.float_digits;
            bytea_output = self.bytea;
            pg_sys::session_timezone = self.time_zone;
        }
    }
}
