-- Deliveries: the log, replay and cancel.

CREATE FUNCTION webhook._no_delivery(id text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF webhook._is_queued(id) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('delivery "%s" is not known to a relay yet', id),
            HINT = 'It is sent once a relay reads it: webhook_stats() says whether one is alive.';
    END IF;
    RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('delivery "%s" does not exist', id),
        HINT = 'webhook_deliveries() shows deliveries; those past webhook.retention are gone.';
END $$;

CREATE FUNCTION webhook_deliveries(
    webhook_id text DEFAULT NULL, status text DEFAULT NULL, event_id text DEFAULT NULL, "limit" integer DEFAULT 50,
    before text DEFAULT NULL)
    RETURNS SETOF webhook.deliveries
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp
    -- Planned for the arguments given: what they do not ask for is not there for the planner, and the rest leads to an index.
    SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
    mine text := webhook._account();
    -- A delivery's id has its event's millisecond, so the primary key finds an event's deliveries.
    least_id text;
    most_id text;
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('limit %s is out of range', coalesce("limit"::text, 'NULL')),
            HINT = 'Between 1 and 1000 rows; page with before => the last id.';
    ELSIF status NOT IN ('pending', 'delivered', 'failed', 'canceled') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('status "%s" is unknown', status),
            HINT = 'A delivery is pending, delivered, failed or canceled.';
    ELSIF before IS NOT NULL THEN
        PERFORM webhook._check_id('del', before);
    END IF;
    IF event_id IS NOT NULL THEN
        PERFORM webhook._check_id('evt', event_id);
        least_id := webhook._id_floor('del', webhook._id_time(event_id));
        most_id := webhook._id_floor('del', webhook._id_time(event_id) + interval '1 millisecond');
    END IF;
    RETURN QUERY
    SELECT d.id, d.event_id, d.event_type, d.webhook_id, d.status, d.attempts, d.response_code, d.response_time_ms, d.error,
           d.next_attempt_at, d.created_at, d.updated_at
    FROM webhook._deliveries d
    WHERE (webhook_deliveries.event_id IS NULL
           OR d.id >= least_id AND d.id < most_id AND d.event_id = webhook_deliveries.event_id)
      AND (webhook_deliveries.webhook_id IS NULL OR d.webhook_id = webhook_deliveries.webhook_id)
      AND (webhook_deliveries.status IS NULL
           OR d.status = webhook_deliveries.status AND CASE webhook_deliveries.status
                  WHEN 'pending' THEN d.waits
                  WHEN 'canceled' THEN d.outcome IN ('retry', 'canceled')
                  ELSE d.outcome = webhook_deliveries.status END)
      AND (before IS NULL OR d.id < before)
      AND (mine = '' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = d.webhook_id AND w.account = mine))
    ORDER BY d.id DESC LIMIT "limit";
END $$;
COMMENT ON FUNCTION webhook_deliveries(text, text, text, integer, text) IS
    'Deliveries, newest first, at most limit (1..1000); page with before => the last id. A delivery appears once the relay has recorded it. Errors: 22023.';

CREATE FUNCTION webhook_attempts(delivery_id text)
    RETURNS TABLE (number integer, at timestamptz, request_headers jsonb, response_code integer, response_headers jsonb,
                   response_body text, response_time_ms integer, error text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM webhook._check_delivery(webhook_attempts.delivery_id);
    RETURN QUERY
    SELECT a.number, a.at,
           CASE WHEN e.id IS NOT NULL AND p.url IS NOT NULL THEN
               webhook._headers(a.webhook_id, p.url, p.options, p.kinds, e.id, e.type, e.created_at, e.data, e.previous,
                                e.key, e.source, a.delivery_id, a.at) END,
           a.response_code, a.response_headers, webhook._readable(a.response_body), a.response_time_ms, a.error
    FROM webhook.attempts a
    LEFT JOIN webhook.events e ON e.id = a.event_id
    LEFT JOIN LATERAL webhook._endpoint(a.webhook_id, a.delivery_id) p ON true
    WHERE a.delivery_id = webhook_attempts.delivery_id AND a.number > 0
    ORDER BY a.number;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM webhook.deliveries d WHERE d.id = webhook_attempts.delivery_id)
       AND NOT webhook._is_queued(webhook_attempts.delivery_id) THEN
        PERFORM webhook._no_delivery(webhook_attempts.delivery_id);
    END IF;
END $$;
COMMENT ON FUNCTION webhook_attempts(text) IS
    'Every HTTP request of a delivery: response, time, error. request_headers are derived from the event and the webhook as it is now, secrets and signatures redacted. Errors: 42704, 22023.';

CREATE FUNCTION webhook._headers(
    webhook_id text, url text, options jsonb, kinds text[], event_id text, type text, created_at timestamptz,
    data json, previous json, key text, source text, delivery_id text, at timestamptz) RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', '_headers_wrapper';
COMMENT ON FUNCTION webhook._headers(text, text, jsonb, text[], text, text, timestamptz, json, json, text, text, text, timestamptz) IS
    'The headers of one attempt as the relay would send them, secrets and signatures redacted: the kinds of the secrets suffice.';

CREATE FUNCTION webhook_replay(delivery_id text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    d webhook.deliveries;
BEGIN
    PERFORM webhook._check_delivery(webhook_replay.delivery_id);
    SELECT * INTO d FROM webhook.deliveries v WHERE v.id = webhook_replay.delivery_id;
    IF NOT FOUND THEN
        PERFORM webhook._no_delivery(webhook_replay.delivery_id);
    ELSIF NOT EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = d.webhook_id) THEN
        PERFORM webhook._no_webhook(d.webhook_id);
    ELSIF NOT EXISTS (SELECT FROM webhook.events e WHERE e.id = d.event_id) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('event "%s" is past webhook.retention', d.event_id),
            HINT = 'Its data is gone, so it cannot be sent again.';
    END IF;
    RETURN webhook._queue(d.event_id, d.webhook_id, 'replay');
END $$;
COMMENT ON FUNCTION webhook_replay(text) IS
    'Sends a delivery again, at once and with a new schedule, as further attempts of the same delivery. Returns its id. Errors: 42704, 55000 when the event is gone.';

-- Takes a delivery out of pending; the log remembers one that was never attempted.
CREATE FUNCTION webhook._cancel(p_delivery_id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    p webhook.pending;
BEGIN
    DELETE FROM webhook.pending d WHERE d.delivery_id = p_delivery_id RETURNING * INTO p;
    IF NOT FOUND THEN RETURN false; END IF;
    IF p.attempts = 0 THEN
        INSERT INTO webhook.attempts (delivery_id, number, event_id, webhook_id, at, outcome)
        VALUES (p.delivery_id, 0, p.event_id, p.webhook_id, clock_timestamp(), 'canceled') ON CONFLICT DO NOTHING;
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION webhook_cancel(delivery_id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM webhook._check_delivery(webhook_cancel.delivery_id);
    IF webhook._cancel(webhook_cancel.delivery_id) THEN RETURN true; END IF;
    IF NOT EXISTS (SELECT FROM webhook.attempts a WHERE a.delivery_id = webhook_cancel.delivery_id) THEN
        PERFORM webhook._no_delivery(webhook_cancel.delivery_id);
    END IF;
    RETURN false;
END $$;
COMMENT ON FUNCTION webhook_cancel(text) IS
    'Cancels a pending delivery; false when it is not pending any more. A request already on its way is still logged. Errors: 42704, 22023.';
