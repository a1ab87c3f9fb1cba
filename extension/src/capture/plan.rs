//! What capture knows of a trigger and its table, cached per session until the table or the source changes.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use pgrx::{PgBuiltInOids, PgTupleDesc, datum::DatumWithOid, pg_guard, pg_sys, spi::Spi};

use super::{
    Change, Operation,
    datum_json::{Output, Writer, escaped},
};
use crate::{error::Error, privilege::as_superuser};

/// A column that is sent, compared or part of the key.
pub struct Column {
    /// Its place in the tuple, from 0.
    pub position: usize,
    /// `"name":`, escaped.
    pub label: Vec<u8>,
    /// How its values become JSON.
    pub writer: Writer,
    /// Its text.
    pub output: Output,
    /// For comparing values.
    pub by_value: bool,
    /// For comparing values.
    pub length: i16,
}

/// One trigger's plan.
pub struct Plan {
    /// The table, for messages.
    pub table: String,
    /// The source's id, unless the trigger was made by hand.
    pub source: Option<String>,
    /// `webhook_pause` was called.
    pub paused: bool,
    /// `on_error => 'warn'`.
    pub warn_on_error: bool,
    /// Updates carry the old values of changed columns.
    pub previous: bool,
    /// Columns whose change makes an update an event: first those that are sent, in the table's order.
    pub columns: Vec<Column>,
    /// How many of them are sent.
    pub sent: usize,
    /// The ordering key's columns, in its order.
    pub key: Vec<Column>,
    /// The tenant's column.
    pub account: Option<Column>,
    /// Some value's text depends on more of the session's settings than those that are pinned for every row.
    pub sensitive: bool,
    relation: pg_sys::Oid,
    /// The table of webhooks, whose changes may make this plan's events wanted.
    webhooks: pg_sys::Oid,
    wanted: Cell<Option<bool>>,
    inserted: String,
    updated: String,
    deleted: String,
    /// Position in `columns` and event type of updates that change that column.
    updated_columns: Vec<(usize, String)>,
    _memory: Memory,
}

impl Plan {
    /// Whether any webhook could want an event of this trigger. Asked once until webhooks change.
    pub fn is_wanted(&self) -> bool {
        if let Some(wanted) = self.wanted.get() {
            return wanted;
        }
        let mut kinds = vec![self.inserted.as_str(), &self.updated, &self.deleted];
        kinds.extend(self.updated_columns.iter().map(|(_, kind)| kind.as_str()));
        let wanted = self.is_any_wanted(kinds);
        self.wanted.set(Some(wanted));
        wanted
    }

    /// Whether any webhook could want an event of one of these types; asks each time.
    pub fn is_any_wanted(&self, kinds: Vec<&str>) -> bool {
        // SAFETY: the datums are of the types they are named as.
        let args = unsafe {
            [
                DatumWithOid::new(kinds, PgBuiltInOids::TEXTARRAYOID.value()),
                DatumWithOid::new(self.source.as_deref(), PgBuiltInOids::TEXTOID.value()),
            ]
        };
        let wanted = as_superuser(|| Spi::get_one_with_args::<bool>("SELECT webhook._wanted($1, $2)", &args));
        wanted.ok().flatten().unwrap_or(true)
    }

    /// The event types of a row's change; an update that changes named columns and others has several.
    pub fn kinds(&self, operation: Operation, changed: &[usize]) -> Vec<&str> {
        match operation {
            Operation::Insert => vec![&self.inserted],
            Operation::Delete => vec![&self.deleted],
            Operation::Truncate => Vec::new(),
            Operation::Update => {
                let named = |n: &usize| self.updated_columns.iter().find(|(column, _)| column == n);
                let mut kinds: Vec<&str> = Vec::with_capacity(1);
                for kind in changed.iter().filter_map(named).map(|(_, kind)| kind.as_str()) {
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
                if changed.iter().any(|n| named(n).is_none()) {
                    kinds.push(&self.updated);
                }
                kinds
            }
        }
    }
}

/// The memory of a plan's call expressions, freed with it.
struct Memory(pg_sys::MemoryContext);

impl Memory {
    fn new() -> Self {
        // SAFETY: the parent lives as long as the session; the name is static.
        Self(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CacheMemoryContext,
                c"webhook capture plan".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            )
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: created in `new`, and nothing else points into it once the plan is gone.
        unsafe { pg_sys::MemoryContextDelete(self.0) };
    }
}

/// Allocates in a plan's memory until it is dropped, also when an error unwinds.
struct Inside(pg_sys::MemoryContext);

impl Inside {
    fn of(memory: &Memory) -> Self {
        // SAFETY: the context is alive.
        Self(unsafe { pg_sys::MemoryContextSwitchTo(memory.0) })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // SAFETY: the context that was current before.
        unsafe { pg_sys::MemoryContextSwitchTo(self.0) };
    }
}

thread_local! {
    static PLANS: RefCell<HashMap<pg_sys::Oid, Rc<Plan>>> = RefCell::default();
    /// Invalidated while the cache was in use: forget everything at the next look.
    static STALE: Cell<bool> = const { Cell::new(false) };
}

/// Registers the invalidation callback of this session.
pub fn register() {
    // SAFETY: the callback is a function of this library, which is never unloaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::null()) };
}

#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    PLANS.with(|plans| match plans.try_borrow_mut() {
        Ok(mut plans) if relation == pg_sys::InvalidOid => plans.clear(),
        Ok(mut plans) => plans.retain(|_, plan| plan.relation != relation && plan.webhooks != relation),
        Err(_) => STALE.set(true),
    });
}

#[pgrx::pg_extern(sql = false)]
fn _forget_plans(relation: pg_sys::Oid) {
    // SAFETY: queues an invalidation of that table in every session, sent at commit.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) };
}

/// The plan of a change's trigger.
pub fn of(change: &Change) -> Rc<Plan> {
    if STALE.take() {
        PLANS.with_borrow_mut(HashMap::clear);
    }
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(&change.trigger).cloned()) {
        return plan;
    }
    let plan = Rc::new(build(change));
    PLANS.with_borrow_mut(|plans| plans.insert(change.trigger, plan.clone()));
    plan
}

/// A row of `webhook._capture_plan`: columns by their numbers, event types in full.
struct Facts {
    columns: Vec<i16>,
    sent: i32,
    key: Vec<i16>,
    account: Option<i16>,
    inserted: String,
    updated: String,
    deleted: String,
    named_columns: Vec<i16>,
    named_types: Vec<String>,
    previous: bool,
    warn: bool,
    paused: bool,
    sensitive: bool,
    webhooks: pg_sys::Oid,
}

fn facts(change: &Change) -> Result<Facts, pgrx::spi::Error> {
    // SAFETY: the relation is the one that the trigger fired for.
    let relation = unsafe { (*change.relation).rd_id };
    // SAFETY: the datums are of the types they are named as.
    let args = unsafe {
        [
            DatumWithOid::new(relation, PgBuiltInOids::OIDOID.value()),
            DatumWithOid::new(change.resource, PgBuiltInOids::TEXTOID.value()),
            DatumWithOid::new(change.source, PgBuiltInOids::TEXTOID.value()),
        ]
    };
    as_superuser(|| {
        Spi::connect(|client| {
            let row = client
                .select(
                    "SELECT columns, sent, key, account_column, inserted, updated, deleted, named_columns, named_types, \
                     previous, warn, paused, sensitive, webhooks FROM webhook._capture_plan($1, $2, $3)",
                    None,
                    &args,
                )?
                .first();
            Ok(Facts {
                columns: row.get(1)?.unwrap_or_default(),
                sent: row.get(2)?.unwrap_or_default(),
                key: row.get(3)?.unwrap_or_default(),
                account: row.get(4)?,
                inserted: row.get(5)?.unwrap_or_default(),
                updated: row.get(6)?.unwrap_or_default(),
                deleted: row.get(7)?.unwrap_or_default(),
                named_columns: row.get(8)?.unwrap_or_default(),
                named_types: row.get(9)?.unwrap_or_default(),
                previous: row.get(10)?.unwrap_or_default(),
                warn: row.get(11)?.unwrap_or_default(),
                paused: row.get(12)?.unwrap_or_default(),
                sensitive: row.get(13)?.unwrap_or_default(),
                webhooks: row.get(14)?.unwrap_or(pg_sys::InvalidOid),
            })
        })
    })
}

fn build(change: &Change) -> Plan {
    let facts = facts(change).unwrap_or_else(|error| {
        Error::SchemaMismatch { what: format!("capture cannot read its source: {error}") }.raise()
    });
    let memory = Memory::new();
    let inside = Inside::of(&memory);
    // SAFETY: the relation is the one that the trigger fired for; it outlives this function.
    let (relation, descriptor) =
        unsafe { ((*change.relation).rd_id, PgTupleDesc::from_pg_unchecked((*change.relation).rd_att)) };
    let columns =
        |numbers: &[i16]| numbers.iter().filter_map(|number| column(&descriptor, *number)).collect();
    let place = |number: &i16| facts.columns.iter().position(|other| other == number);
    let named = facts.named_columns.iter().zip(facts.named_types);
    let plan = Plan {
        table: change.table(),
        source: change.source.map(str::to_owned),
        paused: facts.paused,
        warn_on_error: facts.warn,
        previous: facts.previous,
        columns: columns(&facts.columns),
        sent: facts.sent as usize,
        key: columns(&facts.key),
        account: facts.account.and_then(|number| column(&descriptor, number)),
        sensitive: facts.sensitive,
        relation,
        webhooks: facts.webhooks,
        wanted: Cell::new(None),
        inserted: facts.inserted,
        updated: facts.updated,
        deleted: facts.deleted,
        updated_columns: named.filter_map(|(number, kind)| Some((place(number)?, kind))).collect(),
        _memory: memory,
    };
    drop(inside);
    plan
}

/// A column by its number, which starts at 1.
fn column(descriptor: &PgTupleDesc, number: i16) -> Option<Column> {
    let position = number as usize - 1;
    let attribute = descriptor.get(position)?;
    // SAFETY: a name is NUL-terminated. It is in the database's encoding.
    let name = unsafe { std::ffi::CStr::from_ptr(attribute.attname.data.as_ptr()) };
    let mut label = Vec::with_capacity(name.count_bytes() + 3);
    escaped(name.to_bytes(), &mut label);
    label.push(b':');
    Some(Column {
        position,
        label,
        writer: Writer::of(attribute.atttypid),
        output: Output::of(attribute.atttypid),
        by_value: attribute.attbyval,
        length: attribute.attlen,
    })
}
