-- Reading the outbox: every committed event exactly once, in order, without waiting for anybody. How: extension/wire/src/window.rs,
-- and extension/src/read.rs.

CREATE FUNCTION webhook._flush_wal() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_flush_wal_wrapper';
COMMENT ON FUNCTION webhook._flush_wal() IS
    'Returns when the WAL written so far is on disk and on the synchronous standbys.';

CREATE FUNCTION webhook._relay_read(
    p_window text, p_seq bigint, p_xid bigint, p_max_rows integer, p_max_bytes bigint, p_config text)
    RETURNS TABLE (id text, type text, created_at timestamptz, data bytea, previous bytea, key text, account text,
                   source text, wait_ms bigint, target text, seq bigint, xid bigint, more text, next text,
                   config_changed boolean)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', '_relay_read_wrapper';
COMMENT ON FUNCTION webhook._relay_read(text, bigint, bigint, integer, bigint, text) IS
    'The next page of unread events, on disk for certain, then a last row with id NULL: more (this window goes on), next (the window after it), and whether webhooks changed since p_config.';
