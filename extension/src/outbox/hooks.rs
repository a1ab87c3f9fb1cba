//! Seeing to it that nobody in this session misses rows that still wait: they are inserted before a query that looks at
//! our tables and before any utility command (SAVEPOINT, COPY, PREPARE TRANSACTION and the like).

use pgrx::{pg_guard, pg_sys};

use super::batch;

static mut NEXT_EXECUTOR_START: pg_sys::ExecutorStart_hook_type = None;
static mut NEXT_PROCESS_UTILITY: pg_sys::ProcessUtility_hook_type = None;

/// Puts our hooks before those of others.
pub fn register() {
    // SAFETY: a backend is single-threaded, and this runs once, when the library is loaded.
    unsafe {
        NEXT_EXECUTOR_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(executor_start);
        NEXT_PROCESS_UTILITY = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: std::ffi::c_int) {
    // SAFETY: Postgres hands over a valid query; the next hook is a function of its type.
    unsafe {
        if !batch::is_empty() && looks_at_our_tables(&*(*query).plannedstmt) {
            batch::show();
        }
        match NEXT_EXECUTOR_START {
            Some(next) => next(query, flags),
            None => pg_sys::standard_ExecutorStart(query, flags),
        }
    }
}

#[pg_guard]
#[allow(clippy::too_many_arguments, reason = "the hook's signature")]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const std::ffi::c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    receiver: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: Postgres hands over a valid statement; the next hook is a function of its type and gets the arguments as they
    // came.
    unsafe {
        if !batch::is_empty() && !ends_transaction(&*statement) {
            batch::show();
        }
        let next = NEXT_PROCESS_UTILITY.unwrap_or(standard_process_utility);
        next(statement, text, read_only_tree, context, params, environment, receiver, completion);
    }
}

#[pg_guard]
#[allow(clippy::too_many_arguments, reason = "the hook's signature")]
unsafe extern "C-unwind" fn standard_process_utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const std::ffi::c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    receiver: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the arguments are handed on as they came.
    unsafe {
        pg_sys::standard_ProcessUtility(
            statement,
            text,
            read_only_tree,
            context,
            params,
            environment,
            receiver,
            completion,
        );
    }
}

/// COMMIT, ROLLBACK and their like see to what waits when they do it, so that an error of COMMIT ends the transaction.
#[allow(clippy::cast_ptr_alignment, reason = "nodes are allocated as what their tag says")]
unsafe fn ends_transaction(statement: &pg_sys::PlannedStmt) -> bool {
    // SAFETY: the node tag is checked before the node is read as what it says.
    unsafe {
        let node = statement.utilityStmt;
        (*node).type_ == pg_sys::NodeTag::T_TransactionStmt
            && (*node.cast::<pg_sys::TransactionStmt>()).kind
                != pg_sys::TransactionStmtKind::TRANS_STMT_SAVEPOINT
    }
}

/// Whether a statement refers to any relation in schema `webhook`.
unsafe fn looks_at_our_tables(statement: &pg_sys::PlannedStmt) -> bool {
    // SAFETY: relationOids is a list of oids, or null for none.
    unsafe {
        let relations = statement.relationOids;
        if relations.is_null() {
            return false;
        }
        let schema = pg_sys::get_namespace_oid(c"webhook".as_ptr(), true);
        (0..(*relations).length).any(|n| {
            let relation = (*(*relations).elements.add(n as usize)).oid_value;
            pg_sys::get_rel_namespace(relation) == schema
        })
    }
}
