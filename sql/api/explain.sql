-- Who got an event, who did not, and why; and what would be sent.

CREATE FUNCTION webhook._event(id text) RETURNS webhook.events
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    e webhook.events;
BEGIN
    PERFORM webhook._check_id('evt', id);
    SELECT * INTO e FROM webhook.events h WHERE h.id = _event.id AND webhook._account() IN ('', h.account);
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('event "%s" does not exist', id),
            HINT = 'It was rolled back, or is past webhook.retention.';
    END IF;
    RETURN e;
END $$;

-- A delivery in words.
CREATE FUNCTION webhook._delivery_words(d webhook.deliveries) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE d.status
        WHEN 'delivered' THEN format('HTTP %s at attempt %s', d.response_code, d.attempts)
        WHEN 'canceled' THEN format('canceled after %s attempts', d.attempts)
        WHEN 'pending' THEN format('%s attempts so far, the next one %s', d.attempts,
            coalesce('at ' || d.next_attempt_at::text, 'when those before it of the same key are done'))
            || coalesce(format('; its secret is sealed for key %s, which no running relay has', webhook._key_wanted(d.webhook_id)), '')
        ELSE format('failed for good at attempt %s', d.attempts) END
        || CASE WHEN d.status <> 'delivered' THEN coalesce(
               ': ' || nullif(concat_ws(', ', 'HTTP ' || d.response_code::text, d.error), ''), '') ELSE '' END
$$;

-- Why there is no delivery, given that of _mismatch: the result's word and a sentence.
CREATE FUNCTION webhook._absence(w webhook.webhooks, e webhook.events, miss text, OUT result text, OUT reason text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT r.result, CASE r.result
        WHEN 'other_account' THEN format('the event is of %s, the webhook of %s',
            coalesce('account ' || quote_ident(e.account), 'no account'), coalesce('account ' || quote_ident(w.account), 'no account'))
        WHEN 'not_subscribed' THEN CASE WHEN e.target IS NOT NULL THEN format('it is for %s alone', e.target)
            ELSE format('neither its events %s nor a subscription has "%s"%s', w.events, e.type,
                        coalesce(' from ' || e.source, '')) END
        WHEN 'filtered_out' THEN webhook._filter_miss(w.filter_config::text, e.data)
        WHEN 'too_new' THEN format('it takes events from %s on; webhook_replay(''%s'', since => ..., status => ''missed'') sends older ones',
                                   w.active_since, w.id)
        WHEN 'inactive' THEN coalesce('made inactive: ' || w.disabled_reason, 'made inactive by webhook_update')
        WHEN 'unread' THEN CASE WHEN EXISTS (SELECT FROM webhook.relays h WHERE h.seen_at > clock_timestamp() - interval '20 seconds')
            THEN 'no relay has recorded it yet' ELSE 'no relay is running' END
        ELSE 'it would match now, and did not when the relay read it: the webhook was changed since'
    END
    FROM (SELECT CASE WHEN miss IS NOT NULL THEN miss
                      WHEN e.created_at < w.active_since THEN 'too_new'
                      WHEN w.status <> 'active' AND w.options->'keep_backlog' IS DISTINCT FROM 'true' THEN 'inactive'
                      WHEN webhook._is_unread(webhook._cursor(), e.epoch, e.xid, e.seq) THEN 'unread'
                      ELSE 'missed' END) r(result)
$$;

CREATE FUNCTION webhook_explain(event_id text)
    RETURNS TABLE (webhook_id text, name text, result text, reason text, delivery_id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    e webhook.events := webhook._event(webhook_explain.event_id);
    mine text := webhook._account();
BEGIN
    RETURN QUERY
    SELECT coalesce(w.id, d.webhook_id), w.name, coalesce(d.status, a.result),
           CASE WHEN d.id IS NULL THEN a.reason
                ELSE webhook._delivery_words(d) || CASE
                    WHEN w.id IS NULL THEN '; the webhook was deleted'
                    WHEN d.status = 'pending' AND (w.hook).status = 'inactive' THEN '; it waits until the webhook is active again'
                    ELSE '' END END,
           d.id
    FROM (SELECT h.id, h.name, h AS hook FROM webhook.webhooks h
          WHERE (h.host IS NULL OR h.id = e.target) AND mine IN ('', h.account)) w
    FULL JOIN (SELECT v.* FROM webhook.deliveries v
               WHERE v.id >= webhook._id_floor('del', webhook._id_time(e.id))
                 AND v.id < webhook._id_floor('del', webhook._id_time(e.id) + interval '1 millisecond')
                 AND v.event_id = e.id) d ON d.webhook_id = w.id
    LEFT JOIN LATERAL webhook._absence(w.hook, e, webhook._mismatch(w.hook, e)) a
           ON d.id IS NULL
    WHERE mine = '' OR w.id IS NOT NULL
    ORDER BY 1;
END $$;
COMMENT ON FUNCTION webhook_explain(text) IS
    'For each webhook what became of an event: delivered, pending, failed or canceled; or why it has no delivery: other_account, not_subscribed, filtered_out (the clause), too_new, inactive, unread, missed. Errors: 42704, 22023.';

-- Where a delivery goes and how: the webhook's endpoint, or that of a one-off request.
CREATE FUNCTION webhook._endpoint(p_webhook_id text, p_delivery_id text, OUT url text, OUT options jsonb, OUT secrets text[], OUT kinds text[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT coalesce(r.url, w.url), coalesce(r.options, w.options), valid.secrets, valid.kinds
    FROM webhook.webhooks w LEFT JOIN webhook.requests r ON r.delivery_id = p_delivery_id
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(s.secret ORDER BY s.created_at DESC), '{}'), coalesce(array_agg(s.kind ORDER BY s.created_at DESC), '{}')
        FROM webhook.secrets s
        WHERE s.webhook_id = w.id AND webhook._signs(coalesce(r.options, w.options))
          AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())) valid(secrets, kinds)
    WHERE w.id = p_webhook_id
$$;

CREATE FUNCTION webhook._render(
    webhook_id text, url text, options jsonb, secrets text[], event_id text, type text, created_at timestamptz,
    data json, previous json, key text, source text, delivery_id text, at timestamptz)
    RETURNS TABLE (method text, url text, headers json, body bytea)
    LANGUAGE c STABLE ROWS 1 AS 'MODULE_PATHNAME', '_render_wrapper';

CREATE FUNCTION webhook_render(event_id text, webhook_id text)
    RETURNS TABLE (method text, url text, headers json, body text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    e webhook.events := webhook._event(webhook_render.event_id);
    delivery text;
    p record;
BEGIN
    IF NOT EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = webhook_render.webhook_id AND webhook._account() IN ('', w.account)) THEN
        PERFORM webhook._no_webhook(webhook_render.webhook_id);
    END IF;
    delivery := webhook._delivery_id(e.id, webhook_render.webhook_id);
    SELECT * INTO p FROM webhook._endpoint(webhook_render.webhook_id, delivery);
    IF EXISTS (SELECT FROM unnest(p.secrets) s WHERE webhook._key_of(s) IS NOT NULL) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('the secret of webhook "%s" is sealed: its requests cannot be signed here', webhook_render.webhook_id),
            HINT = 'Only a relay with the key can sign them. webhook_attempts() shows the headers of what was sent, signatures redacted.';
    END IF;
    RETURN QUERY
    SELECT r.method, r.url, r.headers, convert_from(r.body, 'UTF8')
    FROM webhook._render(webhook_render.webhook_id, p.url, p.options, p.secrets, e.id, e.type, e.created_at, e.data, e.previous,
                         e.key, e.source, delivery, clock_timestamp()) r;
END $$;
COMMENT ON FUNCTION webhook_render(text, text) IS
    'The exact request that this webhook would get for this event now, whether it matches or not; nothing is sent. Signatures and headers in full. Errors: 42704, 22023, 55000 when the secret is sealed.';
