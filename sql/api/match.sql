-- Whom an event is for, by the rules of the relay (relay/src/matching.rs), and how far the relay has read.

CREATE FUNCTION webhook._filter_miss(filter_config text, data json) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_filter_miss_wrapper';
COMMENT ON FUNCTION webhook._filter_miss(text, json) IS
    'NULL: an event with this data passes the filter (as does any without a filter). Else the clause that fails.';

-- Why an event is not for a webhook; NULL: it is.
CREATE FUNCTION webhook._mismatch(w webhook.webhooks, e webhook.events) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE
        WHEN e.target IS NOT NULL OR w.host IS NOT NULL THEN
            CASE WHEN e.target IS DISTINCT FROM w.id THEN 'not_subscribed' END
        WHEN w.account IS DISTINCT FROM e.account AND w.account IS DISTINCT FROM '*' THEN 'other_account'
        WHEN NOT webhook._pattern_matches(w.events, e.type) AND NOT EXISTS (
                 SELECT FROM webhook.subscriptions u
                 WHERE u.listener_id = w.id AND webhook._emits(u.emitter_id, e.source) AND u.event_name IN ('', e.type))
            THEN 'not_subscribed'
        WHEN webhook._filter_miss(w.filter_config::text, e.data) IS NOT NULL THEN 'filtered_out'
    END
$$;

-- Has no relay read and recorded this event yet? c: the newest cursor.
CREATE FUNCTION webhook._is_unread(c webhook.cursors, epoch integer, xid xid8, seq bigint) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT epoch = webhook._epoch()
       AND NOT pg_visible_in_snapshot(xid, coalesce((c."window"::jsonb->>'low')::pg_snapshot, '3:3:'))
       AND (c."window"::jsonb->>'high' IS NULL
            OR NOT pg_visible_in_snapshot(xid, (c."window"::jsonb->>'high')::pg_snapshot)
            OR (seq, xid) > (c.seq, c.xid::text::xid8))
$$;

CREATE FUNCTION webhook._cursor() RETURNS webhook.cursors
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT c FROM webhook.cursors c ORDER BY c.n DESC LIMIT 1
$$;
