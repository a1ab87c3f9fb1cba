-- One-off requests: an event for the hidden webhook of their host, which sends them one after the other.

CREATE FUNCTION webhook._origin(url text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_origin_wrapper';
COMMENT ON FUNCTION webhook._origin(text) IS 'scheme://host:port of a URL. Errors: 22023.';

-- The hidden webhook of a host, for each account its own. Transactions that are the first to send to it each make one, rather than wait for each other;
-- later ones use the oldest.
CREATE FUNCTION webhook._send_lane(origin text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    at timestamptz := clock_timestamp();
    own text := nullif(webhook._account(), '');
    lane text;
BEGIN
    SELECT min(w.id) INTO lane FROM webhook.webhooks w WHERE w.host = origin AND w.account IS NOT DISTINCT FROM own;
    IF lane IS NULL THEN
        INSERT INTO webhook.webhooks (id, url, host, name, account, events, options, created_at, updated_at, active_since)
        VALUES (webhook._new_id('wh'), origin, origin, 'webhook_send to ' || origin, own, '{}',
                '{"signature": "none", "format": "data", "ordered": true, "retry_schedule": []}', at, at, at)
        RETURNING id INTO lane;
    END IF;
    RETURN lane;
END $$;

-- The options of a one-off request, complete and checked.
CREATE FUNCTION webhook._send_options(
    method text, data jsonb, headers jsonb, params jsonb, auth jsonb, options jsonb) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    given jsonb := webhook._check_options(options);
    own constant text[] := '{timeout_ms,retry_schedule,store_response,format,client_cert,header_name,header_value,signature}';
    other text;
BEGIN
    IF method IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'method must not be null', HINT = 'Give method a value: POST.';
    END IF;
    SELECT o INTO other FROM jsonb_object_keys(given) o WHERE o <> ALL (own);
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('option "%s" is not for a single request', other),
            HINT = format('Options of webhook_send are %s; method, headers, params and auth are arguments.', array_to_string(own, ', '));
    ELSIF coalesce(given->>'signature', 'none') NOT IN ('none', 'static') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('signature "%s" is not for a single request', given->>'signature'),
            HINT = 'It has no secret: signature is none, or static with header_name and header_value. Use webhook_create for signed ones.';
    END IF;
    RETURN webhook._check_options(
        jsonb_build_object('signature', 'none', 'timeout_ms', 5000, 'retry_schedule', '[]'::jsonb,
                           'format', CASE WHEN data IS NULL THEN 'none' ELSE 'data' END)
        || given
        || jsonb_build_object('method', method, 'headers', coalesce(headers, '{}'), 'params', coalesce(params, '{}'), 'auth', auth));
END $$;

CREATE FUNCTION webhook_send(
    method text, url text, data jsonb DEFAULT NULL, headers jsonb DEFAULT '{}', params jsonb DEFAULT '{}',
    auth jsonb DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    target text := webhook._check_url(webhook_send.url);
    checked jsonb := webhook._send_options(method, data, headers, params, auth, options);
    origin text := webhook._origin(target);
    lane text := webhook._send_lane(origin);
    delivery text;
BEGIN
    delivery := webhook._delivery_id(
        webhook._append('webhook.send', coalesce(data, 'null')::json, key => origin,
                        account => nullif(webhook._account(), ''), target => lane), lane);
    INSERT INTO webhook.requests (delivery_id, url, options) VALUES (delivery, target, checked);
    RETURN delivery;
END $$;
COMMENT ON FUNCTION webhook_send(text, text, jsonb, jsonb, jsonb, jsonb, jsonb) IS
    'One HTTP request, sent when this transaction has committed, to one host in the order of the calls; JSON, within 5 s, and once, unless options (timeout_ms, retry_schedule) say otherwise. Returns the delivery''s id: webhook_attempts(id) shows request and response. Errors: 22023, 54000.';
