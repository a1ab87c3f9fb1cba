//! Who the user is, and running our own SQL for one who has no rights on schema `webhook`.

use pgrx::{pg_extern, pg_sys};

/// Gives the user's identity back, also when an error unwinds.
struct Restore(pg_sys::Oid, i32);

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: the values come from GetUserIdAndSecContext.
        unsafe { pg_sys::SetUserIdAndSecContext(self.0, self.1) };
    }
}

/// Runs `work` as the bootstrap superuser. `work` must run only our own functions, by qualified names.
pub fn as_superuser<T>(work: impl FnOnce() -> T) -> T {
    let mut user = pg_sys::InvalidOid;
    let mut context = 0;
    // SAFETY: the first call writes both variables; the flag forbids SET ROLE inside.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        pg_sys::SetUserIdAndSecContext(
            pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID),
            context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32,
        );
    }
    let _restore = Restore(user, context);
    work()
}

#[pg_extern(sql = false)]
fn _is_superuser() -> bool {
    // SAFETY: reads a variable, and the catalogue.
    unsafe { pg_sys::superuser_arg(pg_sys::GetOuterUserId()) }
}
