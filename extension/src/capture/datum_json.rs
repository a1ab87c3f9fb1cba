//! One value as JSON, as `row_to_json` would spell it.

use pgrx::{direct_function_call, pg_sys, varlena};

/// How values of a type become JSON.
pub enum Writer {
    Bool,
    Int2,
    Int4,
    Int8,
    /// Text, varchar, bpchar, name-like varlena: the characters, escaped.
    Text,
    /// Already JSON text.
    Json,
    Jsonb,
    /// Numeric and floats by their output function; NaN and infinities become strings.
    Number(Output),
    /// The same, but with the digits of [`large`] ones.
    Float8(Output),
    /// Date and timestamps, ISO 8601.
    DateTime(pg_sys::Oid),
    /// Everything else: Postgres' own `to_json`.
    Other(ToJson),
}

impl Writer {
    /// The writer of a type.
    pub fn of(type_oid: pg_sys::Oid) -> Self {
        // A domain is written as what it is made of.
        // SAFETY: a syscache look-up.
        let base = unsafe { pg_sys::getBaseType(type_oid) };
        match base {
            pg_sys::BOOLOID => Self::Bool,
            pg_sys::INT2OID => Self::Int2,
            pg_sys::INT4OID => Self::Int4,
            pg_sys::INT8OID => Self::Int8,
            pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID => Self::Text,
            pg_sys::JSONOID => Self::Json,
            pg_sys::JSONBOID => Self::Jsonb,
            pg_sys::NUMERICOID | pg_sys::FLOAT4OID => Self::Number(Output::of(base)),
            pg_sys::FLOAT8OID => Self::Float8(Output::of(base)),
            pg_sys::DATEOID | pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => Self::DateTime(base),
            other => Self::Other(ToJson::of(other)),
        }
    }

    /// Appends the value, which is of the writer's type and not null.
    pub fn write(&self, value: pg_sys::Datum, out: &mut Vec<u8>) {
        match self {
            Self::Bool => out.extend_from_slice(if value.value() & 1 == 1 { b"true" } else { b"false" }),
            Self::Int2 => integer(i64::from(value.value() as i16), out),
            Self::Int4 => integer(i64::from(value.value() as i32), out),
            Self::Int8 => integer(value.value() as i64, out),
            Self::Text => detoasted(value, |bytes| escaped(bytes, out)),
            Self::Json => detoasted(value, |bytes| out.extend_from_slice(bytes)),
            Self::Jsonb => {
                // SAFETY: the value is a jsonb.
                let text =
                    unsafe { direct_function_call::<&std::ffi::CStr>(pg_sys::jsonb_out, &[Some(value)]) };
                out.extend_from_slice(text.map_or(b"null", std::ffi::CStr::to_bytes));
            }
            Self::Number(output) => number(output.text(value), out),
            Self::Float8(output) => match large(f64::from_bits(value.value() as u64)) {
                Some(spelled) => out.extend_from_slice(spelled.as_bytes()),
                None => number(output.text(value), out),
            },
            Self::DateTime(kind) => {
                let mut buffer = [0_u8; pg_sys::MAXDATELEN as usize + 1];
                // SAFETY: Postgres writes at most MAXDATELEN characters and a NUL.
                let text = unsafe {
                    pg_sys::JsonEncodeDateTime(buffer.as_mut_ptr().cast(), value, *kind, std::ptr::null());
                    std::ffi::CStr::from_ptr(buffer.as_ptr().cast())
                };
                escaped(text.to_bytes(), out);
            }
            Self::Other(to_json) => to_json.write(value, out),
        }
    }
}

/// A prepared call of `to_json(anyelement)` for one type; lives as long as its plan.
pub struct ToJson(Box<pg_sys::FmgrInfo>);

impl ToJson {
    fn of(type_oid: pg_sys::Oid) -> Self {
        // SAFETY: to_json asks its call expression for the argument's type, so it gets one with a typed null constant; it is
        // allocated where plans live.
        unsafe {
            let mut info = Box::<pg_sys::FmgrInfo>::default();
            pg_sys::fmgr_info_cxt(
                pg_sys::Oid::from(pg_sys::F_TO_JSON),
                &raw mut *info,
                pg_sys::CurrentMemoryContext,
            );
            let argument = pg_sys::makeNullConst(type_oid, -1, pg_sys::InvalidOid);
            let arguments = pg_sys::lappend(std::ptr::null_mut(), argument.cast());
            info.fn_expr = pg_sys::makeFuncExpr(
                pg_sys::Oid::from(pg_sys::F_TO_JSON),
                pg_sys::JSONOID,
                arguments,
                pg_sys::InvalidOid,
                pg_sys::InvalidOid,
                pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
            )
            .cast();
            Self(info)
        }
    }

    fn write(&self, value: pg_sys::Datum, out: &mut Vec<u8>) {
        // SAFETY: the value is of the type that the call was prepared for.
        let json = unsafe {
            pg_sys::FunctionCall1Coll((&raw const *self.0).cast_mut(), pg_sys::DEFAULT_COLLATION_OID, value)
        };
        detoasted(json, |bytes| out.extend_from_slice(bytes));
    }
}

/// A prepared call of a type's output function; lives as long as its plan.
pub struct Output(Box<pg_sys::FmgrInfo>);

impl Output {
    /// The output function of a type.
    pub fn of(type_oid: pg_sys::Oid) -> Self {
        let mut function = pg_sys::InvalidOid;
        let mut is_varlena = false;
        let mut info = Box::<pg_sys::FmgrInfo>::default();
        // SAFETY: a syscache look-up that writes both variables; the call is allocated where plans live.
        unsafe {
            pg_sys::getTypeOutputInfo(type_oid, &raw mut function, &raw mut is_varlena);
            pg_sys::fmgr_info_cxt(function, &raw mut *info, pg_sys::CurrentMemoryContext);
        }
        Self(info)
    }

    /// The text of a value of that type. It lies in the memory of the trigger call, which Postgres frees after the row.
    pub fn text(&self, value: pg_sys::Datum) -> &[u8] {
        // SAFETY: the value is of the type that the call was prepared for; the function returns a NUL-terminated text.
        unsafe {
            let text = pg_sys::OutputFunctionCall((&raw const *self.0).cast_mut(), value);
            std::ffi::CStr::from_ptr(text).to_bytes()
        }
    }
}

/// A finite float8 beyond the integers that are all exact. From 2^53 on Postgres prints one in a thousand with more digits
/// than needed, which JavaScript, reading the same number, would not print again.
fn large(value: f64) -> Option<String> {
    const EXACT: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    (value.is_finite() && value.abs() >= EXACT).then(|| format!("{value:e}").replace('e', "e+"))
}

/// What an output function printed; NaN and infinities become strings.
fn number(digits: &[u8], out: &mut Vec<u8>) {
    if digits.last().is_some_and(u8::is_ascii_digit) {
        out.extend_from_slice(digits);
    } else {
        escaped(digits, out);
    }
}

fn integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Shows a function the bytes of a text-like value, detoasted. A copy that this makes is freed after the row.
fn detoasted(value: pg_sys::Datum, f: impl FnOnce(&[u8])) {
    // SAFETY: the datum is a varlena; only one that is compressed or stored apart needs Postgres to unpack it.
    unsafe {
        let given = value.cast_mut_ptr::<pg_sys::varlena>();
        let packed = varlena::varatt_is_1b_e(given) || varlena::varatt_is_4b_c(given);
        let plain = if packed { pg_sys::pg_detoast_datum_packed(given) } else { given };
        f(varlena::varlena_to_byte_slice(plain));
    }
}

/// A JSON string, escaped as Postgres' `escape_json` does.
pub fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain_from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain_from..at]);
        plain_from = at + 1;
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}
