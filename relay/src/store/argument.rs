//! What verbs are called with: values that know their type, so that a call needs no prepared statement.

use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

/// An argument of a verb.
pub(super) trait Argument: ToSql + Sync {
    /// Its type in SQL.
    fn kind(&self) -> Type;
}

/// What an array can hold.
trait Element: ToSql + Sync {
    const ARRAY: Type;
}

macro_rules! arguments {
    ($($rust:ty: $one:ident, $many:ident;)*) => {$(
        impl Argument for $rust {
            fn kind(&self) -> Type {
                Type::$one
            }
        }

        impl Argument for Option<$rust> {
            fn kind(&self) -> Type {
                Type::$one
            }
        }

        impl Element for $rust {
            const ARRAY: Type = Type::$many;
        }

        impl Element for Option<$rust> {
            const ARRAY: Type = Type::$many;
        }
    )*};
}

arguments! {
    bool: BOOL, BOOL_ARRAY;
    i32: INT4, INT4_ARRAY;
    i64: INT8, INT8_ARRAY;
    &str: TEXT, TEXT_ARRAY;
    String: TEXT, TEXT_ARRAY;
    &[u8]: BYTEA, BYTEA_ARRAY;
    &Value: JSONB, JSONB_ARRAY;
}

impl<T: Element> Argument for Vec<T> {
    fn kind(&self) -> Type {
        T::ARRAY
    }
}

impl<T: Element> Argument for &[T] {
    fn kind(&self) -> Type {
        T::ARRAY
    }
}
