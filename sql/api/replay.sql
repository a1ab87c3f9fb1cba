-- Replay of a time range, also for a webhook that was created later.

CREATE FUNCTION webhook_replay(
    webhook_id text, since timestamptz, until timestamptz DEFAULT pg_catalog.now(), status text DEFAULT 'failed') RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
    c webhook.cursors := webhook._cursor();
    at timestamptz := clock_timestamp();
    queued bigint;
BEGIN
    SELECT * INTO w FROM webhook.webhooks h WHERE h.id = webhook_replay.webhook_id AND h.host IS NULL
        AND webhook._account() IN ('', h.account);
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_replay.webhook_id); END IF;
    IF since IS NULL OR until IS NULL OR since > until THEN
        RAISE EXCEPTION USING ERRCODE = '22023',
            MESSAGE = format('%s to %s is not a time range', coalesce(since::text, 'NULL'), coalesce(until::text, 'NULL')),
            HINT = 'Give since, and until if it is not now: since => now() - interval ''3 days''.';
    ELSIF status IS NULL OR status NOT IN ('failed', 'canceled', 'delivered', 'missed', 'all') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('status "%s" cannot be replayed', status),
            HINT = 'failed, canceled or delivered deliveries; missed: events that match and never went to this webhook; or all of these.';
    END IF;
    -- Due in the events' order, one microsecond after the other: claims take them in that order, a few at a time beside
    -- what is new. Ordered webhooks keep their order per key as ever.
    INSERT INTO webhook.pending AS p (delivery_id, event_id, webhook_id, key, reason, attempts, due_at, ordered, seq)
    SELECT m.delivery_id, m.id, w.id, m.key, 'replay', m.attempts,
           greatest(at + m.place * interval '1 microsecond', m.deliver_at),
           -- An event of another cluster, of before webhook_adopt(), comes before everything of this one.
           m.ordered, CASE WHEN NOT m.ordered THEN 0 WHEN m.is_here THEN m.seq ELSE m.seq - (1::bigint << 62) END
    FROM (
        SELECT e.id, e.key, e.seq, e.deliver_at, i.delivery_id, coalesce(d.number, 0) AS attempts,
               e.key IS NOT NULL AND coalesce((w.options->>'ordered')::boolean, false) AS ordered,
               e.epoch = webhook._epoch() AS is_here,
               row_number() OVER (ORDER BY e.epoch = webhook._epoch(), e.seq, e.xid) AS place
        FROM webhook.events e
        CROSS JOIN LATERAL (SELECT webhook._delivery_id(e.id, w.id)) i(delivery_id)
        LEFT JOIN LATERAL (SELECT a.number, CASE a.outcome WHEN 'retry' THEN 'canceled' ELSE a.outcome END AS outcome
                           FROM webhook.attempts a WHERE a.delivery_id = i.delivery_id
                           ORDER BY a.number DESC LIMIT 1) d ON true
        WHERE e.id >= webhook._id_floor('evt', since) AND e.id < webhook._id_floor('evt', until + interval '1 millisecond')
          AND e.created_at BETWEEN since AND until
          AND NOT EXISTS (SELECT FROM webhook.pending q WHERE q.delivery_id = i.delivery_id AND q.reason <> 'blocked')
          AND CASE WHEN d.outcome IS NOT NULL THEN webhook_replay.status IN (d.outcome, 'all')
              ELSE webhook_replay.status IN ('missed', 'all') AND e.target IS NULL
                   AND webhook._mismatch(w, e) IS NULL
                   -- What the relay has still to read it will send by itself.
                   AND (e.created_at < w.active_since OR NOT webhook._is_unread(c, e.epoch, e.xid, e.seq)) END
    ) m
    ORDER BY m.place
    ON CONFLICT (delivery_id) DO UPDATE SET due_at = excluded.due_at, tries = 0, reason = excluded.reason
        WHERE p.reason = 'blocked' AND p.lease = 0;
    GET DIAGNOSTICS queued = ROW_COUNT;
    PERFORM pg_notify('webhook', '');
    RETURN queued;
END $$;
COMMENT ON FUNCTION webhook_replay(text, timestamptz, timestamptz, text) IS
    'Sends to a webhook again, in the order of the events and one after the other, beside what is new (option ordered: in order per key, keys beside each other), what failed between since and until; or what was canceled, delivered, missed (events that match it and never went to it, as before it was created), or all of these. What is pending stays as it is. Returns how many. Errors: 42704, 22023.';
