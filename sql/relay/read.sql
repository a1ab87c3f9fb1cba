-- Reading the outbox: every committed event exactly once, in order, without waiting for anybody.
--
-- The reader takes snapshots S0, S1, ... and reads between two of them, low and high, what is visible in high and not in
-- low. A transaction that was running in low is read in the window in which it has committed; nobody waits for it.
-- `id > last` would lose it; `xid < xmin` would stall behind it.
--
-- Rows are read in the order of seq, which is the WAL position at emission: an event emitted after another one's commit
-- has the larger seq, so events of one row come in the order of their commits. To find the unread rows in that order
-- without scanning what is read, the window carries lower bounds of their seq:
--   floor  unread rows of transactions at or past xmax(low) have no smaller seq;
--   old    the same for each transaction that was running in low, as [xid, floor];
--   mark   [lsn, xid]: transactions from xid on emit at lsn or later. Once xmax(low) reaches xid, floor rises to lsn.
-- And the term of the leader that reads it, by which _relay_record knows a window that was read before a crash or a failover.

CREATE FUNCTION webhook._flush_wal() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_flush_wal_wrapper';
COMMENT ON FUNCTION webhook._flush_wal() IS
    'Returns when the WAL written so far is on disk and on the synchronous standbys.';

CREATE FUNCTION webhook._flush_commits(from_xid bigint, to_xid bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', '_flush_commits_wrapper';
COMMENT ON FUNCTION webhook._flush_commits(bigint, bigint) IS
    'Returns when the commits of transactions from from_xid to before to_xid are on disk and on the synchronous standbys: at once, unless one did not wait for that.';

CREATE FUNCTION webhook._next_window(w text, high text) RETURNS text
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', '_next_window_wrapper';
COMMENT ON FUNCTION webhook._next_window(text, text) IS 'The window that follows when w is read to its end at snapshot high.';

CREATE FUNCTION webhook._relay_read(
    p_window text, p_seq bigint, p_xid bigint, p_max_rows integer, p_max_bytes bigint, p_config text)
    RETURNS TABLE (id text, type text, created_at timestamptz, data bytea, previous bytea, key text, account text,
                   source text, wait_ms bigint, target text, seq bigint, xid bigint, more text, next text,
                   config_changed boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp
    -- One plan for good, along the index: planning over the partitions would cost ten times the read itself.
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off AS $$
DECLARE
    w jsonb := p_window;
    low pg_snapshot := w->>'low';
    high pg_snapshot := coalesce((w->>'high')::pg_snapshot, pg_current_snapshot());
    edge xid8 := pg_snapshot_xmax(low);
    edge_floor bigint := (w->>'floor')::bigint;
    here integer := webhook._epoch();
    after_xid xid8 := p_xid::text::xid8;
    -- Of the transactions that ran in low and are visible in high, those that began so many bytes of WAL ago are looked up
    -- one by one, so that the others' scan need not begin so far back.
    far CONSTANT bigint := 16 * 1024 * 1024;
    far_xids xid8[] := '{}';
    far_floors bigint[] := '{}';
    near_xid xid8 := edge;
    near_floor bigint := edge_floor;
    -- With no far ones Postgres need not open any partition but the default one for them, at a third of a small page's cost.
    far_id text;
BEGIN
    IF w->'old' <> '[]' THEN
        SELECT coalesce(array_agg(o.xid::text::xid8) FILTER (WHERE o.is_far), '{}'), coalesce(array_agg(o.floor) FILTER (WHERE o.is_far), '{}'),
               least(min(o.xid) FILTER (WHERE NOT o.is_far)::text::xid8, edge), least(min(o.floor) FILTER (WHERE NOT o.is_far), edge_floor)
        INTO far_xids, far_floors, near_xid, near_floor
        FROM (SELECT (v->>0)::bigint AS xid, (v->>1)::bigint AS floor, (v->>1)::bigint < edge_floor - far AS is_far
              FROM jsonb_array_elements(w->'old') v
              WHERE pg_visible_in_snapshot((v->>0)::xid8, high)) o;
    END IF;
    far_id := CASE WHEN far_xids = '{}' THEN '~' ELSE '' END;

    -- (seq, xid) > (p_seq, after_xid) is spelled out: as a row comparison it would be the index scan's starting point instead
    -- of the floor, and with p_seq = 0 every read would walk the whole index.
    RETURN QUERY
    SELECT u.id, u.type, u.created_at, webhook._bytes(u.data), webhook._bytes(u.previous), u.key, u.account, u.source,
           -- By this server's clock: the relay's may be wrong.
           CASE WHEN u.deliver_at > clock_timestamp() THEN ceil(extract(epoch FROM u.deliver_at - clock_timestamp()) * 1000)::bigint END,
           u.target, u.seq, u.xid::text::bigint, NULL::text, NULL::text, NULL::boolean
    FROM (
        SELECT m.*, sum(webhook._octets(m.data) + coalesce(webhook._octets(m.previous), 0))
                        OVER (ORDER BY m.seq, m.xid ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM (
            (SELECT e.* FROM webhook.events e
             WHERE e.seq >= greatest(near_floor, p_seq) AND (e.seq > p_seq OR e.xid > after_xid) AND e.xid >= near_xid AND e.epoch = here
               AND NOT pg_visible_in_snapshot(e.xid, low) AND pg_visible_in_snapshot(e.xid, high) AND e.xid <> ALL (far_xids)
             ORDER BY e.seq, e.xid LIMIT p_max_rows)
            UNION ALL
            (SELECT e.* FROM unnest(far_xids, far_floors) o(xid, floor)
             CROSS JOIN LATERAL (
                 SELECT * FROM webhook.events r
                 WHERE r.seq >= greatest(o.floor, p_seq) AND (r.seq > p_seq OR r.xid > after_xid) AND r.xid = o.xid AND r.epoch = here
                   AND r.id > far_id
                 ORDER BY r.seq, r.xid LIMIT p_max_rows) e
             ORDER BY e.seq, e.xid LIMIT p_max_rows)
            ORDER BY seq, xid LIMIT p_max_rows
        ) m
    ) u
    WHERE coalesce(u.before, 0) < p_max_bytes
    ORDER BY u.seq, u.xid;

    -- A commit with synchronous_commit = off is visible before it is on disk and on a standby, and a crash or a failover could undo a
    -- fact announced by then.
    IF FOUND THEN
        PERFORM webhook._flush_commits(pg_snapshot_xmin(low)::text::bigint, pg_snapshot_xmax(high)::text::bigint);
    END IF;

    RETURN QUERY
    SELECT NULL::text, NULL::text, NULL::timestamptz, NULL::bytea, NULL::bytea, NULL::text, NULL::text, NULL::text,
           NULL::bigint, NULL::text, NULL::bigint, NULL::bigint,
           (w || jsonb_build_object('high', high))::text, webhook._next_window(p_window, high::text),
           p_config IS NULL OR EXISTS (
               SELECT FROM webhook.changes c
               WHERE c.xid >= pg_snapshot_xmin(p_config::pg_snapshot)
                 AND NOT pg_visible_in_snapshot(c.xid, p_config::pg_snapshot));
END $$;
COMMENT ON FUNCTION webhook._relay_read(text, bigint, bigint, integer, bigint, text) IS
    'The next page of unread events, on disk for certain, then a last row with id NULL: more (this window goes on), next (the window after it), and whether webhooks changed since p_config.';
