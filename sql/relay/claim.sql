-- Claiming what is due from pending, fair across webhooks.
CREATE FUNCTION webhook._relay_claim(
    p_instance text, p_lease bigint, p_lease_ms integer, p_skip text[], p_per_webhook integer, p_total integer,
    p_max_bytes bigint)
    RETURNS TABLE (delivery_id text, webhook_id text, number integer, tries integer, reason text, event_id text, type text,
                   created_at timestamptz, data bytea, previous bytea, key text, source text, url text, options jsonb,
                   next_due_ms bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp
    -- One plan for good, along the indexes: without statistics the planner went through all that is pending.
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH RECURSIVE waiting AS (
        -- The webhooks that have pending rows, one index probe each, however deep their backlogs.
        (SELECT p.webhook_id FROM webhook.pending p ORDER BY p.webhook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT p.webhook_id FROM webhook.pending p WHERE p.webhook_id > w.webhook_id ORDER BY p.webhook_id LIMIT 1)
        FROM waiting w WHERE w.webhook_id IS NOT NULL
    ), due AS (
        SELECT d.delivery_id, d.event_id, d.due_at, d.place FROM waiting w
        CROSS JOIN LATERAL (
            SELECT p.delivery_id, p.event_id, p.due_at, row_number() OVER (ORDER BY p.due_at) AS place FROM (
                SELECT q.delivery_id, q.event_id, q.due_at FROM webhook.pending q
                WHERE q.webhook_id = w.webhook_id AND q.due_at <= at
                  AND NOT (q.ordered AND EXISTS (
                      SELECT FROM webhook.pending b
                      WHERE b.ordered AND b.webhook_id = q.webhook_id AND b.key = q.key AND b.seq < q.seq))
                ORDER BY q.due_at LIMIT least(p_per_webhook, p_total) FOR UPDATE SKIP LOCKED) p) d
        WHERE w.webhook_id <> ALL (p_skip) AND (SELECT h.status FROM webhook.webhooks h WHERE h.id = w.webhook_id) = 'active'
        ORDER BY d.place LIMIT p_total
    ), found AS (
        -- The first is taken however large it is.
        SELECT d.delivery_id, d.due_at, e.type, e.created_at, e.data, e.previous, e.source,
               sum(webhook._octets(e.data) + coalesce(webhook._octets(e.previous), 0))
                   OVER (ORDER BY d.place, d.due_at, d.delivery_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM due d LEFT JOIN webhook.events e ON e.id = d.event_id
    ), claimed AS (
        UPDATE webhook.pending p
        SET lease = p_lease, leased_by = p_instance, due_at = at + p_lease_ms * interval '1 millisecond'
        FROM found f WHERE p.delivery_id = f.delivery_id AND coalesce(f.before, 0) < p_max_bytes
        RETURNING p.*, f.due_at AS was_due, f.type, f.created_at AS emitted_at, f.data, f.previous, f.source
    )
    SELECT c.delivery_id, c.webhook_id, c.attempts + 1, c.tries, c.reason, c.event_id, c.type, c.emitted_at,
           webhook._bytes(c.data), webhook._bytes(c.previous), c.key, c.source, r.url, r.options,
           NULL::bigint
    FROM claimed c LEFT JOIN webhook.requests r ON r.delivery_id = c.delivery_id
    ORDER BY c.was_due, c.delivery_id;

    RETURN QUERY
    SELECT NULL::text, NULL::text, NULL::integer, NULL::integer, NULL::text, NULL::text, NULL::text, NULL::timestamptz,
           NULL::bytea, NULL::bytea, NULL::text, NULL::text, NULL::text, NULL::jsonb, (
        WITH RECURSIVE waiting AS (
            (SELECT p.webhook_id, p.due_at FROM webhook.pending p ORDER BY p.webhook_id, p.due_at LIMIT 1)
            UNION ALL
            SELECT n.webhook_id, n.due_at FROM waiting w CROSS JOIN LATERAL (
                SELECT p.webhook_id, p.due_at FROM webhook.pending p WHERE p.webhook_id > w.webhook_id
                ORDER BY p.webhook_id, p.due_at LIMIT 1) n
        )
        SELECT CASE WHEN min(w.due_at) < 'infinity'
               THEN greatest(0, ceil(extract(epoch FROM min(w.due_at) - clock_timestamp()) * 1000))::bigint END
        FROM waiting w
        WHERE w.webhook_id <> ALL (p_skip) AND (SELECT h.status FROM webhook.webhooks h WHERE h.id = w.webhook_id) = 'active');
END $$;
COMMENT ON FUNCTION webhook._relay_claim(text, bigint, integer, text[], integer, integer, bigint) IS
    'Leases due deliveries of active webhooks that are not in p_skip, until their payloads reach p_max_bytes (url and options: of a request of webhook_send); then a last row with the milliseconds until the next one is due.';
