-- Webhooks: create, get, delete, test. (List, update and secrets have files of their own.)

CREATE FUNCTION webhook._no_webhook(id text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('webhook "%s" does not exist', id),
        HINT = 'webhook_list() shows the webhooks there are.';
END $$;

-- When it was last sent to, as far as its newest hundred deliveries know: an older one may have been sent again. As an equality the planner
-- would take the webhook's id for a constant, and may look for it from the end of the log, which is long when the webhook is not in it.
CREATE FUNCTION webhook._last_triggered(id text) RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT max(n.at) FROM (
        SELECT a.at FROM webhook.attempts a WHERE a.webhook_id >= id AND a.webhook_id <= id AND a.number > 0
        ORDER BY a.webhook_id DESC, a.delivery_id DESC LIMIT 100) n
$$;

CREATE FUNCTION webhook._show(w webhook.webhooks, secret text DEFAULT NULL) RETURNS webhook._webhook
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT ROW(w.id, w.url, w.name, w.description, w.events, w.status, w.disabled_reason, w.filter_config, w.account,
               webhook._masked_options(w.options),
               coalesce(secret, webhook._shown_secret(w.id)),
               w.created_at, w.updated_at, webhook._last_triggered(w.id))::webhook._webhook
$$;

-- A type that nobody ever registered or emitted is legal, and most often a typing error.
CREATE FUNCTION webhook._warn_unknown_types(events text[]) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    registered text[] := ARRAY(SELECT DISTINCT t.type FROM webhook.event_types t);
    emitted text[];
    pattern text;
    near text[];
BEGIN
    FOREACH pattern IN ARRAY events LOOP
        CONTINUE WHEN EXISTS (SELECT FROM unnest(registered) t WHERE webhook._pattern_matches(ARRAY[pattern], t));
        -- Emitting registers nothing, and the outbox has no index by type: of a large one the newest part has to do.
        emitted := coalesce(emitted, ARRAY(
            SELECT DISTINCT n.type FROM (SELECT e.type FROM webhook.events e ORDER BY e.id DESC LIMIT 10000) n));
        CONTINUE WHEN EXISTS (SELECT FROM unnest(emitted) t WHERE webhook._pattern_matches(ARRAY[pattern], t));
        near := webhook._nearest(pattern, registered || emitted);
        RAISE WARNING USING ERRCODE = '01000',
            MESSAGE = format('event type "%s" was never registered or emitted', pattern),
            HINT = CASE WHEN cardinality(near) > 0 THEN format('Did you mean %s?', array_to_string(near, ' or '))
                   ELSE 'webhook_event_types() shows the known types; webhook_event_type_create() adds one.' END;
    END LOOP;
END $$;

CREATE FUNCTION webhook_create(
    url text, events text[] DEFAULT '{*}', name text DEFAULT NULL, description text DEFAULT NULL,
    secret text DEFAULT NULL, filter_config jsonb DEFAULT NULL, account text DEFAULT NULL, options jsonb DEFAULT '{}')
    RETURNS webhook._webhook
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
    key text := webhook._check_secret(coalesce(webhook_create.secret, webhook._new_secret()));
    at timestamptz := clock_timestamp();
BEGIN
    w.id := webhook._new_id('wh');
    w.url := webhook._check_url(webhook_create.url);
    w.events := webhook._check_patterns(webhook_create.events);
    w.name := webhook_create.name;
    w.description := webhook_create.description;
    w.status := 'active';
    w.filter_config := webhook._check_filter(webhook_create.filter_config);
    w.account := coalesce(webhook_create.account, nullif(current_setting('webhook.account', true), ''));
    w.options := webhook._check_options(coalesce(webhook_create.options, '{}'));
    PERFORM webhook._check_signing(w.options, webhook._kind(key)), webhook._check_label('account', w.account),
        webhook._check_account(w.account);
    w.created_at := at;
    w.updated_at := at;
    w.active_since := at;
    PERFORM webhook._warn_unknown_types(w.events);
    INSERT INTO webhook.webhooks SELECT w.*;
    PERFORM webhook._keep_secret(w.id, key, at);
    RETURN webhook._show(w, key);
END $$;
COMMENT ON FUNCTION webhook_create(text, text[], text, text, text, jsonb, text, jsonb) IS
    'Registers an endpoint and returns its row with the secret in full, here only. secret: any text, whsec_<base64> (generated when missing) or whsk_<base64>, an Ed25519 private key, which signs v1a. Errors: 22023 for a bad URL, pattern, secret, filter or option.';

CREATE FUNCTION webhook_get(id text) RETURNS webhook._webhook
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
BEGIN
    SELECT * INTO w FROM webhook.webhooks h WHERE h.id = webhook_get.id AND h.host IS NULL AND webhook._account() IN ('', h.account);
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_get.id); END IF;
    RETURN webhook._show(w);
END $$;
COMMENT ON FUNCTION webhook_get(text) IS 'One webhook, secret masked, with "(sealed)" if only the relay can read it; of a private key (whsk_) the public key, whpk_<base64>, is shown. Errors: 42704 when there is none.';

CREATE FUNCTION webhook_delete(id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    DELETE FROM webhook.webhooks w WHERE w.id = webhook_delete.id AND w.host IS NULL AND webhook._account() IN ('', w.account);
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_delete.id); END IF;
    PERFORM webhook._cancel(p.delivery_id) FROM webhook.pending p WHERE p.webhook_id = webhook_delete.id;
    RETURN true;
END $$;
COMMENT ON FUNCTION webhook_delete(text) IS
    'Deletes a webhook. Its pending deliveries are canceled, its history stays. Errors: 42704 when there is none.';

CREATE FUNCTION webhook_test(id text, event text DEFAULT 'webhook.test') RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
BEGIN
    SELECT * INTO w FROM webhook.webhooks h WHERE h.id = webhook_test.id AND h.host IS NULL AND webhook._account() IN ('', h.account);
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_test.id); END IF;
    IF w.status <> 'active' THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('webhook "%s" is inactive', w.id),
            HINT = format('Make it active first: SELECT * FROM webhook_update(%L, ''{"status": "active"}'').', w.id);
    END IF;
    RETURN webhook._append(event, jsonb_build_object('webhook_id', w.id, 'test', true)::json, account => w.account,
                           target => w.id);
END $$;
COMMENT ON FUNCTION webhook_test(text, text) IS
    'Queues a signed test delivery of the given type to this webhook alone and returns the event id. Errors: 42704, 22023 for the type, 55000 when inactive.';
