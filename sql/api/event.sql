-- Events: emit, and the catalogue of types.

CREATE FUNCTION webhook_emit(
    type text, data jsonb, key text DEFAULT NULL, idempotency_key text DEFAULT NULL, account text DEFAULT NULL,
    source text DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'webhook_emit_wrapper';
COMMENT ON FUNCTION webhook_emit(text, jsonb, text, text, text, text, timestamptz) IS
    'Appends an event to the outbox, in this transaction, and returns its id. A repeated idempotency key (24 hours, per account) returns the first id and emits nothing. Errors: 22023 type, key or data, 54000 payload over webhook.max_payload_bytes, 25006 read-only.';

-- The same row writer for our own functions; target: for that webhook alone.
CREATE FUNCTION webhook._append(
    type text, data json, key text DEFAULT NULL, account text DEFAULT NULL, source text DEFAULT NULL,
    target text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_append_wrapper';

-- Takes an idempotency key for an event id: the id itself, or that of the event that had the key first.
-- A concurrent transaction with the same key is waited for.
CREATE FUNCTION webhook._claim_idempotency(p_account text, p_key text, p_event_id text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    first text;
BEGIN
    INSERT INTO webhook.idempotency AS i (account, key, event_id, created_at)
    VALUES (coalesce(p_account, ''), p_key, p_event_id, clock_timestamp())
    ON CONFLICT (account, key) DO UPDATE
        SET event_id = excluded.event_id, created_at = excluded.created_at
        WHERE i.created_at < excluded.created_at - interval '24 hours'
    RETURNING event_id INTO first;
    IF NOT FOUND THEN
        SELECT i.event_id INTO STRICT first FROM webhook.idempotency i
        WHERE i.account = coalesce(p_account, '') AND i.key = p_key;
    END IF;
    RETURN first;
END $$;

-- A delivery of one event for one webhook, due now, whatever the webhook's patterns say.
CREATE FUNCTION webhook._queue(p_event_id text, p_webhook_id text, p_reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    delivery text := webhook._delivery_id(p_event_id, p_webhook_id);
BEGIN
    INSERT INTO webhook.pending AS p (delivery_id, event_id, webhook_id, key, reason, attempts, due_at)
    SELECT delivery, e.id, p_webhook_id, e.key, p_reason,
           coalesce((SELECT max(a.number) FROM webhook.attempts a WHERE a.delivery_id = delivery), 0), clock_timestamp()
    FROM webhook.events e WHERE e.id = p_event_id
    ON CONFLICT (delivery_id) DO UPDATE SET due_at = excluded.due_at, tries = 0, reason = excluded.reason
        WHERE p.lease = 0;
    PERFORM pg_notify('webhook', '');
    RETURN delivery;
END $$;

CREATE FUNCTION webhook_event_type_create(type text, description text DEFAULT NULL, schema jsonb DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    INSERT INTO webhook.event_types AS t (type, description, schema)
    VALUES (webhook._check_event_type(webhook_event_type_create.type),
            coalesce(webhook_event_type_create.description,
                     (SELECT t.description FROM webhook.event_types t WHERE t.type = webhook_event_type_create.type AND t.builtin)),
            webhook._check_schema(webhook_event_type_create.schema))
    ON CONFLICT ON CONSTRAINT event_types_pkey DO UPDATE
        SET description = coalesce(webhook_event_type_create.description, t.description), schema = excluded.schema;
    RETURN webhook_event_type_create.type;
END $$;
COMMENT ON FUNCTION webhook_event_type_create(text, text, jsonb) IS
    'Registers an event type, or changes its description and schema; returns the type. The setting webhook.validate (off, warn, error) says whether webhook_emit enforces schemas. Errors: 22023.';

CREATE FUNCTION webhook_event_types()
    RETURNS TABLE (type text, description text, schema jsonb, created_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT DISTINCT ON (t.type) t.type, t.description, t.schema, t.created_at FROM webhook.event_types t ORDER BY t.type, t.builtin
$$;
COMMENT ON FUNCTION webhook_event_types() IS 'The catalogue of event types.';
