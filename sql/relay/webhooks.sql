-- What the relay caches of webhooks: all, or those changed since a token it got before.

CREATE FUNCTION webhook._relay_webhooks(p_since text)
    RETURNS TABLE (config text, id text, url text, events text[], status text, filter_config jsonb, account text,
                   options jsonb, active_since timestamptz, secrets text[], secrets_at bigint[], secrets_ms bigint,
                   subscriptions jsonb, failing_since timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    -- On disk before it is used: a crash could undo a new secret that requests are signed with already.
    SELECT pg_current_snapshot()::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM webhook._flush_wal()
    UNION ALL
    SELECT NULL, c.id, w.url, w.events, w.status, w.filter_config, w.account, w.options,
           w.active_since,
           valid.secrets, valid.secrets_at, valid.ms,
           (SELECT jsonb_agg(jsonb_build_object('emitter', u.emitter_id, 'event', u.event_name))
            FROM webhook.subscriptions u WHERE u.listener_id = c.id),
           w.failing_since
    FROM (SELECT h.id FROM webhook.webhooks h WHERE p_since IS NULL
          UNION
          SELECT g.webhook_id FROM webhook.changes g
          WHERE p_since IS NOT NULL AND g.xid >= pg_snapshot_xmin(p_since::pg_snapshot)
            AND NOT pg_visible_in_snapshot(g.xid, p_since::pg_snapshot)) c
    LEFT JOIN webhook.webhooks w ON w.id = c.id
    CROSS JOIN LATERAL (
        SELECT array_agg(s.secret ORDER BY s.created_at DESC), array_agg(webhook._micros(s.created_at) ORDER BY s.created_at DESC),
               ceil(extract(epoch FROM min(s.expires_at) - clock_timestamp()) * 1000)::bigint
        FROM webhook.secrets s
        WHERE s.webhook_id = c.id AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())) valid(secrets, secrets_at, ms)
$$;
COMMENT ON FUNCTION webhook._relay_webhooks(text) IS
    'First a row with the token to ask with next time, then the webhooks (those that are gone have no url). secrets_ms: until the first of the secrets expires.';
