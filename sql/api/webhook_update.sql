-- Changing a webhook: any field or option, null resets.
CREATE FUNCTION webhook._updated(w webhook.webhooks, field text, value jsonb) RETURNS webhook.webhooks
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    word text := value #>> '{}';
    hint text;
BEGIN
    IF field IN ('url', 'name', 'description', 'status', 'account') AND jsonb_typeof(value) NOT IN ('string', 'null') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('%s %s is not a text', field, value),
            HINT = format('Give %s as a JSON string.', field);
    END IF;
    CASE field
        WHEN 'url' THEN w.url := webhook._check_url(word);
        WHEN 'name' THEN w.name := word;
        WHEN 'description' THEN w.description := word;
        WHEN 'account' THEN w.account := word;
        WHEN 'filter_config' THEN w.filter_config := webhook._check_filter(nullif(value, 'null'));
        WHEN 'events' THEN
            IF jsonb_typeof(value) NOT IN ('array', 'null') THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('events %s is not an array', value),
                    HINT = 'Give events as a JSON array of patterns: ["user.*"].';
            END IF;
            w.events := CASE WHEN value = 'null' THEN '{*}' ELSE webhook._check_patterns(
                ARRAY(SELECT e #>> '{}' FROM jsonb_array_elements(value) e)) END;
            PERFORM webhook._warn_unknown_types(w.events);
        WHEN 'status' THEN
            IF coalesce(word, 'active') NOT IN ('active', 'inactive') THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('status "%s" is unknown', word),
                    HINT = 'A webhook is active or inactive.';
            END IF;
            IF coalesce(word, 'active') = 'active' AND w.status = 'inactive' THEN
                -- Whatever it did before, it has five days from now on.
                w.failing_since := CASE w.told WHEN 'failing' THEN clock_timestamp() END;
                w.told := nullif(w.told, 'disabled');
                -- What happened in the meantime is not sent later, unless it was kept.
                IF NOT coalesce((w.options->>'keep_backlog')::boolean, false) THEN
                    w.active_since := clock_timestamp();
                END IF;
            END IF;
            w.status := coalesce(word, 'active');
            w.disabled_reason := NULL;
        WHEN 'options' THEN
            IF jsonb_typeof(value) NOT IN ('object', 'null') THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('options %s is not an object', value),
                    HINT = 'Give options as a JSON object; null inside it resets one.';
            END IF;
            w.options := CASE WHEN value = 'null' THEN '{}'
                ELSE webhook._check_options((SELECT coalesce(jsonb_object_agg(o.key, o.value), '{}')
                    FROM jsonb_each(w.options || value) o WHERE o.value <> 'null')) END;
        WHEN 'secret' THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'secret is not changed by webhook_update',
                HINT = format('SELECT secret FROM webhook_rotate_secret(%L), or webhook_rotate_secret(%L, ''a secret of your own'').', w.id, w.id);
        ELSE
            -- Not a field: an option by its own name; an unknown one is refused with the names there are.
            BEGIN
                PERFORM webhook._check_options(jsonb_build_object(field, NULL));
            EXCEPTION WHEN invalid_parameter_value THEN
                GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = SQLERRM,
                    HINT = 'Fields: url, name, description, events, status, filter_config, account, options. ' || hint;
            END;
            w.options := webhook._check_options(CASE WHEN value = 'null' THEN w.options - field
                                                ELSE w.options || jsonb_build_object(field, value) END);
    END CASE;
    RETURN w;
END $$;

CREATE FUNCTION webhook_update(id text, changes jsonb) RETURNS webhook._webhook
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
    was_inactive boolean;
    change record;
BEGIN
    IF changes IS NULL OR jsonb_typeof(changes) <> 'object' THEN
        RAISE EXCEPTION USING ERRCODE = '22023',
            MESSAGE = format('changes %s is not an object', coalesce(changes::text, 'NULL')),
            HINT = 'Give the fields and options to change: {"events": ["user.*"], "timeout_ms": 5000}.';
    END IF;
    SELECT * INTO w FROM webhook.webhooks h WHERE h.id = webhook_update.id AND h.host IS NULL
        AND webhook._account() IN ('', h.account) FOR UPDATE;
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_update.id); END IF;
    was_inactive := w.status = 'inactive';
    FOR change IN SELECT key, value FROM jsonb_each(changes) LOOP
        w := webhook._updated(w, change.key, change.value);
    END LOOP;
    PERFORM webhook._check_account(w.account), webhook._check_label('account', w.account), webhook._check_signing(w.options, (
        SELECT s.kind FROM webhook.secrets s WHERE s.webhook_id = w.id ORDER BY s.created_at DESC LIMIT 1));
    w.updated_at := clock_timestamp();
    UPDATE webhook.webhooks h
    SET (url, name, description, events, status, disabled_reason, filter_config, account, options, updated_at,
         active_since, failing_since, told)
      = (w.url, w.name, w.description, w.events, w.status, w.disabled_reason, w.filter_config, w.account, w.options,
         w.updated_at, w.active_since, w.failing_since, w.told)
    WHERE h.id = w.id;
    -- Resumed with a backlog: what was kept is due now.
    IF was_inactive AND w.status = 'active' THEN
        UPDATE webhook.pending p SET due_at = w.updated_at, reason = 'retry'
        WHERE p.webhook_id = w.id AND p.reason = 'paused' AND p.lease = 0;
    END IF;
    RETURN webhook._show(w);
END $$;
COMMENT ON FUNCTION webhook_update(text, jsonb) IS
    'Changes any field (url, name, description, events, status, filter_config, account, options) or option; null resets it. Errors: 42704, 22023.';
