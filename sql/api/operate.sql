-- Signatures, statistics, adoption, rights.

CREATE FUNCTION webhook_sign(payload text, secret text, scheme text DEFAULT 'sha256') RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'webhook_sign_wrapper';
COMMENT ON FUNCTION webhook_sign(text, text, text) IS
    'The signature of a payload: scheme sha256 (sha256=<hex>), hex, or standard (v1,<base64>, by a whsk_ key v1a,<base64>; then the payload is id.timestamp.body). Errors: 22023 for another scheme or a wrong key.';

CREATE FUNCTION webhook_verify(
    payload text, signature text, secret text, scheme text DEFAULT 'sha256', id text DEFAULT NULL,
    "timestamp" bigint DEFAULT NULL) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'webhook_verify_wrapper';
COMMENT ON FUNCTION webhook_verify(text, text, text, text, text, bigint) IS
    'Whether a signature is right, compared in constant time. Scheme sha256, hex, or standard: then id and timestamp are the webhook-id and webhook-timestamp headers (without them the payload is id.timestamp.body), and the secret may be a public key, whpk_<base64>. Errors: 22023.';

-- Is row (xid) still unread, seen from the newest cursor?
CREATE FUNCTION webhook._unread(OUT backlog bigint, OUT oldest timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    c webhook.cursors;
    low pg_snapshot := '3:3:';
    high pg_snapshot;
    least_seq bigint := 0;
BEGIN
    SELECT * INTO c FROM webhook.cursors ORDER BY n DESC LIMIT 1;
    IF FOUND THEN
        low := c."window"::jsonb->>'low';
        high := c."window"::jsonb->>'high';
        least_seq := least((c."window"::jsonb->>'floor')::bigint,
                           (SELECT min((o->>1)::bigint) FROM jsonb_array_elements(c."window"::jsonb->'old') o));
    END IF;
    SELECT count(*), min(e.created_at) INTO backlog, oldest
    FROM webhook.events e
    WHERE e.seq >= least_seq AND e.epoch = webhook._epoch()
      AND NOT pg_visible_in_snapshot(e.xid, low)
      AND (high IS NULL OR NOT pg_visible_in_snapshot(e.xid, high) OR (e.seq, e.xid) > (c.seq, c.xid::text::xid8));
END $$;

CREATE FUNCTION webhook_stats()
    RETURNS TABLE (backlog bigint, oldest_unread timestamptz, oldest_unread_age interval, pending bigint,
                   pending_due bigint, in_flight bigint, events_per_minute bigint, delivered_per_minute bigint,
                   failed_attempts_per_minute bigint, webhooks_active bigint, webhooks_failing bigint,
                   capture_lost bigint, relays_alive bigint, leader text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT u.backlog, u.oldest, clock_timestamp() - u.oldest,
           (SELECT count(*) FROM webhook.pending),
           (SELECT count(*) FROM webhook.pending p WHERE p.due_at <= clock_timestamp() AND p.lease = 0),
           (SELECT coalesce(sum(r.in_flight), 0) FROM webhook.relays r WHERE r.seen_at > clock_timestamp() - interval '20 seconds'),
           (SELECT count(*) FROM webhook.events e WHERE e.id >= webhook._id_floor('evt', now() - interval '1 minute')),
           (SELECT count(*) FROM webhook.attempts a
            WHERE a.delivery_id >= webhook._id_floor('del', now() - interval '1 minute') AND a.outcome = 'delivered'),
           (SELECT count(*) FROM webhook.attempts a
            WHERE a.delivery_id >= webhook._id_floor('del', now() - interval '1 minute') AND a.outcome IN ('failed', 'retry')),
           (SELECT count(*) FROM webhook.webhooks w WHERE w.status = 'active' AND w.host IS NULL),
           (SELECT count(*) FROM webhook.webhooks w WHERE w.failing_since IS NOT NULL),
           (SELECT count(*) FROM webhook.losses),
           (SELECT count(*) FROM webhook.relays r WHERE r.seen_at > clock_timestamp() - interval '20 seconds'),
           (SELECT r.instance FROM webhook.relays r WHERE r.leader AND r.seen_at > clock_timestamp() - interval '20 seconds'
            ORDER BY r.seen_at DESC LIMIT 1)
    FROM webhook._unread() u
$$;
COMMENT ON FUNCTION webhook_stats() IS
    'One row: events not read yet and the age of the oldest, pending deliveries, what happened in the last minute (of events of that minute), webhooks, relays alive.';

CREATE FUNCTION webhook_adopt() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    low pg_snapshot;
    c webhook.cursors;
BEGIN
    LOCK TABLE webhook.identity IN EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM pg_class t, aclexplode(t.relacl) g
               WHERE t.oid = 'webhook.events'::regclass AND g.grantee <> t.relowner) THEN
        PERFORM webhook._enable_policies();
    END IF;
    IF webhook._is_home() THEN RETURN false; END IF;
    SELECT * INTO c FROM webhook.cursors ORDER BY n DESC LIMIT 1;
    low := coalesce(c."window"::jsonb->>'low', '3:3:')::pg_snapshot;
    -- What the old cluster had not read yet is stamped as emitted here and now; all else stays history.
    PERFORM webhook._emit_again(array_agg(e.id ORDER BY e.seq, e.xid))
    FROM webhook.events e
    WHERE e.epoch <> webhook._epoch() AND NOT pg_visible_in_snapshot(e.xid, low)
      AND (c."window"::jsonb->>'high' IS NULL
           OR NOT pg_visible_in_snapshot(e.xid, (c."window"::jsonb->>'high')::pg_snapshot)
           OR (e.seq, e.xid) > (c.seq, c.xid::text::xid8));
    UPDATE webhook.pending SET lease = 0, leased_by = NULL, due_at = least(due_at, clock_timestamp()) WHERE lease <> 0;
    -- The other cluster's WAL positions say nothing here. What is pending of a key comes first, in its order, then what was
    -- unread (from 1), then what is emitted here: no WAL begins before 16 MiB.
    UPDATE webhook.pending p SET seq = o.place - o.of
    FROM (SELECT q.delivery_id, row_number() OVER (ORDER BY q.seq) AS place, count(*) OVER () AS of
          FROM webhook.pending q WHERE q.ordered) o
    WHERE p.delivery_id = o.delivery_id;
    DELETE FROM webhook.cursors;
    INSERT INTO webhook.identity AS i (system_identifier, database)
    SELECT s.system_identifier, d.oid FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
    ON CONFLICT (one) DO UPDATE
        SET (system_identifier, database, adopted_at) = (excluded.system_identifier, excluded.database, clock_timestamp());
    PERFORM pg_notify('webhook', '');
    RETURN true;
END $$;
COMMENT ON FUNCTION webhook_adopt() IS
    'This restored or cloned database may send: what was unread or pending goes on, nothing old is sent again. False when it is adopted already.';

CREATE FUNCTION webhook._emit_again(ids text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    UPDATE webhook.events e
    SET epoch = webhook._epoch(), xid = pg_current_xact_id(), seq = i.n
    FROM unnest(ids) WITH ORDINALITY i(id, n)
    WHERE e.id = i.id
$$;

CREATE FUNCTION webhook._is_home() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT coalesce((SELECT i.system_identifier = s.system_identifier AND i.database = d.oid
                     FROM webhook.identity i),
                    NOT EXISTS (SELECT FROM webhook.events e WHERE e.epoch <> webhook._epoch()))
    FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
$$;

-- What each capability may do. A function is named with its argument types by its oid, so that overloads are safe.
CREATE FUNCTION webhook._capabilities() RETURNS TABLE (capability text, privilege text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH functions AS (
        SELECT p.oid::regprocedure::text AS signature, p.proname::text AS name
        FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND x.extname = 'pg_webhook'
    )
    SELECT c.capability, 'EXECUTE ON FUNCTION ' || f.signature
    FROM functions f JOIN (VALUES
        ('emit', '^webhook_(emit)$'),
        ('read', '^webhook_(get|list|deliveries|attempts|event_types|sources|subscriptions|explain|stats|secret_keys|filter_test|filter_preview|sign|verify)$'),
        ('read', '^_id_time$'), -- The view webhook.deliveries calls it as its reader.
        ('manage', '^webhook_(?!adopt|grant|forget_secret_key)'),
        ('manage', '^_(check_(watchable|names|columns|event_type|id)|checked_source|invalid|watch|condition_for|source_(put|types|remove)|trigger_(name|statements|when)|any_changes|drop_triggers)$'),
        ('relay', '^_(relay_|library_version)')
    ) AS c(capability, pattern) ON f.name ~ c.pattern
    UNION ALL
    SELECT 'read', 'SELECT ON webhook.deliveries, webhook._deliveries, webhook.pending, webhook.attempts, webhook.events, webhook.event_types, webhook.sources, webhook.subscriptions, webhook.relays, webhook.cursors'
    UNION ALL
    SELECT 'read', 'SELECT (id, url, name, description, events, status, disabled_reason, filter_config, account, created_at, updated_at, active_since, failing_since) ON webhook.webhooks'
$$;

CREATE FUNCTION webhook_grant(role regrole, capability text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    api oid := (SELECT x.extnamespace FROM pg_extension x WHERE x.extname = 'pg_webhook');
    privilege text;
BEGIN
    IF role IS NULL OR capability IS NULL OR capability NOT IN ('emit', 'read', 'manage', 'relay') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('capability "%s" is unknown', capability),
            HINT = 'Capabilities are emit, read, manage and relay.';
    END IF;
    -- The schema of CREATE EXTENSION, if it is not one for everybody.
    IF capability <> 'relay' AND NOT has_schema_privilege(role, api, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s', api::regnamespace, role);
    END IF;
    IF capability <> 'emit' THEN
        EXECUTE format('GRANT USAGE ON SCHEMA webhook TO %s', role);
    END IF;
    IF capability = 'read' THEN PERFORM webhook._enable_policies(); END IF;
    FOR privilege IN SELECT c.privilege FROM webhook._capabilities() c WHERE c.capability = webhook_grant.capability LOOP
        EXECUTE format('GRANT %s TO %s', privilege, role);
    END LOOP;
END $$;
COMMENT ON FUNCTION webhook_grant(regrole, text) IS
    'Gives a role a capability: emit, read, manage (webhooks, sources, deliveries) or relay (what webhook-relay needs). Errors: 22023.';
