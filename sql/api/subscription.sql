-- Named emitters, and subscriptions: which webhooks listen to which source.

-- A label that users choose: 1 to 1024 bytes without control characters.
CREATE FUNCTION webhook._check_label(argument text, label text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF NOT webhook._is_readable(label) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('%s is not UTF-8', argument),
            HINT = 'This database takes any bytes (SQL_ASCII): give text in UTF-8.';
    ELSIF label = '' OR octet_length(label) > 1024 OR label ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('%s %s is not valid', argument, to_json(left(label, 64))),
            HINT = 'Give 1 to 1024 bytes without control characters.';
    END IF;
    RETURN label;
END $$;

CREATE FUNCTION webhook_source_create(name text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();
    result text;
BEGIN
    IF webhook_source_create.name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'name must not be null', HINT = 'Give name a value.';
    END IF;
    INSERT INTO webhook.sources (id, kind, name, created_at, updated_at)
    VALUES (webhook._new_id('src'), 'named', webhook._check_label('name', webhook_source_create.name), at, at)
    ON CONFLICT (name) WHERE kind = 'named' DO UPDATE SET name = excluded.name
    RETURNING id INTO result;
    RETURN result;
END $$;
COMMENT ON FUNCTION webhook_source_create(text) IS
    'A named emitter, for webhook_emit(..., source => id). Returns its id; the same name gives the same id. Errors: 22023.';

-- Does an emitter (* stands for any run of characters, ? for one) mean this source?
CREATE FUNCTION webhook._emits(emitter text, source text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT source LIKE translate(replace(replace(emitter, '\', '\\'), '_', '\_'), '*?', '%_')
$$;

CREATE FUNCTION webhook._check_emitter(id text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF id ~ '[*?]' THEN
        IF id !~ '^(src_|[*?])[a-z0-9*?]*$' OR length(id) > 64 THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('emitter_id %s is not a pattern of source ids', to_json(left(id, 64))),
                HINT = 'A source id, or one with * in it: src_* is every source.';
        END IF;
    ELSE
        PERFORM webhook._check_id('src', id);
        IF NOT EXISTS (SELECT FROM webhook.sources s WHERE s.id = _check_emitter.id) THEN
            RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('source "%s" does not exist', id),
                HINT = 'webhook_sources() shows the sources there are; src_* means all of them.';
        END IF;
    END IF;
    RETURN id;
END $$;

CREATE FUNCTION webhook_subscribe(emitter_id text, listener_id text, event_name text DEFAULT '') RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    event text := coalesce(event_name, '');
    result text;
BEGIN
    PERFORM webhook._check_emitter(webhook_subscribe.emitter_id);
    PERFORM webhook._check_id('wh', webhook_subscribe.listener_id);
    PERFORM FROM webhook.webhooks w WHERE w.id = webhook_subscribe.listener_id AND w.host IS NULL
        AND webhook._account() IN ('', w.account) FOR KEY SHARE;
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_subscribe.listener_id); END IF;
    IF event <> '' THEN PERFORM webhook._check_event_type(event); END IF;
    INSERT INTO webhook.subscriptions (id, emitter_id, listener_id, event_name, created_at)
    VALUES (webhook._new_id('sub'), webhook_subscribe.emitter_id, webhook_subscribe.listener_id, event, clock_timestamp())
    ON CONFLICT ON CONSTRAINT subscriptions_emitter_id_listener_id_event_name_key DO NOTHING
    RETURNING id INTO result;
    IF NOT FOUND THEN
        SELECT u.id INTO STRICT result FROM webhook.subscriptions u
        WHERE u.emitter_id = webhook_subscribe.emitter_id AND u.listener_id = webhook_subscribe.listener_id
          AND u.event_name = event;
    END IF;
    RETURN result;
END $$;
COMMENT ON FUNCTION webhook_subscribe(text, text, text) IS
    'The webhook listener_id gets the events of the source emitter_id (a glob such as src_* means several), or only those of the type event_name, besides what its own patterns say. Returns the subscription''s id, the same for the same arguments. Errors: 42704, 22023.';

CREATE FUNCTION webhook_unsubscribe(emitter_id text, listener_id text, event_name text DEFAULT '') RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    DELETE FROM webhook.subscriptions u
    WHERE u.emitter_id = webhook_unsubscribe.emitter_id AND u.listener_id = webhook_unsubscribe.listener_id
      AND u.event_name = coalesce(webhook_unsubscribe.event_name, '')
      AND webhook._is_mine(u.listener_id);
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION webhook_unsubscribe(text, text, text) IS
    'Ends the subscription that was made with these arguments; false when there is none.';

CREATE FUNCTION webhook_subscriptions(listener_id text DEFAULT NULL)
    RETURNS TABLE (id text, emitter_id text, listener_id text, event_name text, created_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT u.id, u.emitter_id, u.listener_id, u.event_name, u.created_at FROM webhook.subscriptions u
    WHERE ($1 IS NULL OR u.listener_id = $1)
      AND webhook._is_mine(u.listener_id)
    ORDER BY u.id
$$;
COMMENT ON FUNCTION webhook_subscriptions(text) IS 'Which webhooks listen to which sources; of one webhook or of all.';
