-- Partitions ahead, partitions past retention, and trimming of what the relay leaves behind.

-- Default privileges (ALTER DEFAULT PRIVILEGES ... GRANT SELECT ON TABLES) would open what is made here to others.
CREATE FUNCTION webhook._keep_to_owner(relation regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    other oid;
BEGIN
    FOR other IN SELECT DISTINCT g.grantee FROM pg_class c, aclexplode(c.relacl) g
                 WHERE c.oid = relation AND g.grantee <> c.relowner LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', relation,
                       CASE other WHEN 0 THEN 'PUBLIC' ELSE other::regrole::text END);
    END LOOP;
END $$;

-- Creates the partition of one day; rows of that day that wait in the default partition move into it. While they move
-- nobody is held up; the tables are locked for ATTACH PARTITION alone, which finds by its check that the rows are
-- the day's. Rows of a past day, and nobody adds to those, may be any number; of a day to come only a few are moved (false:
-- it is left until it is past), as there the locks come first. The parent's comes before the default partition's: a query
-- that had to wait for the latter knows the partitions of before, and would find the rows nowhere.
CREATE FUNCTION webhook._create_partition(parent text, prefix text, id_column text, day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    few CONSTANT integer := 10000;
    part text := parent || '_' || to_char(day, 'YYYYMMDD');
    lower text := webhook._id_floor(prefix, day::timestamp AT TIME ZONE 'UTC');
    upper text := webhook._id_floor(prefix, (day + 1)::timestamp AT TIME ZONE 'UTC');
    of_the_day text := format('%I >= %L AND %I < %L', id_column, lower, id_column, upper);
    many boolean;
BEGIN
    IF to_regclass('webhook.' || part) IS NOT NULL THEN RETURN false; END IF;
    IF day >= (clock_timestamp() AT TIME ZONE 'UTC')::date THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM webhook.%I WHERE %s OFFSET %s)', parent || '_default', of_the_day, few) INTO many;
        IF many THEN RETURN false; END IF;
        EXECUTE format('LOCK TABLE ONLY webhook.%I, webhook.%I IN ACCESS EXCLUSIVE MODE', parent, parent || '_default');
    END IF;
    EXECUTE format('CREATE TABLE webhook.%I (LIKE webhook.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES, CONSTRAINT of_the_day CHECK (%s))',
                   part, parent || '_default', of_the_day);
    PERFORM webhook._keep_to_owner(format('webhook.%I', part)::regclass);
    EXECUTE format('WITH moved AS (DELETE FROM webhook.%I WHERE %s RETURNING *) INSERT INTO webhook.%I SELECT * FROM moved',
                   parent || '_default', of_the_day, part);
    EXECUTE format('LOCK TABLE ONLY webhook.%I IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('ALTER TABLE webhook.%I ATTACH PARTITION webhook.%I FOR VALUES FROM (%L) TO (%L)', parent, part, lower, upper);
    EXECUTE format('ALTER TABLE webhook.%I DROP CONSTRAINT of_the_day', part);
    RETURN true;
END $$;

-- Past days of which the default partitions hold rows, the oldest first: what came while nobody made partitions.
CREATE FUNCTION webhook._days_in_default() RETURNS SETOF date
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH RECURSIVE days(day) AS (
        SELECT webhook._id_day(least('del' || substr((SELECT min(id) FROM webhook.events_default), 4),
                                     (SELECT min(delivery_id) FROM webhook.attempts_default)))
        UNION ALL
        SELECT webhook._id_day(least(
            'del' || substr((SELECT min(id) FROM webhook.events_default e
                             WHERE e.id >= webhook._id_floor('evt', (d.day + 1)::timestamp AT TIME ZONE 'UTC')), 4),
            (SELECT min(delivery_id) FROM webhook.attempts_default a
             WHERE a.delivery_id >= webhook._id_floor('del', (d.day + 1)::timestamp AT TIME ZONE 'UTC'))))
        FROM days d WHERE d.day IS NOT NULL
    )
    SELECT d.day FROM days d WHERE d.day < (clock_timestamp() AT TIME ZONE 'UTC')::date
$$;

CREATE FUNCTION webhook._id_day(id text) RETURNS date
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT (webhook._id_time(id) AT TIME ZONE 'UTC')::date
$$;

-- Drops a day's partitions when it is past retention and nothing unread or pending lies in it.
CREATE FUNCTION webhook._drop_day(day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    events regclass := to_regclass('webhook.events_' || to_char(day, 'YYYYMMDD'));
    attempts regclass := to_regclass('webhook.attempts_' || to_char(day, 'YYYYMMDD'));
    read_to bigint;
    last_seq bigint;
BEGIN
    IF EXISTS (SELECT FROM webhook.pending p
               WHERE p.event_id >= webhook._id_floor('evt', day::timestamp AT TIME ZONE 'UTC')
                 AND p.event_id < webhook._id_floor('evt', (day + 1)::timestamp AT TIME ZONE 'UTC')) THEN
        RETURN false;
    END IF;
    IF events IS NOT NULL THEN
        SELECT least((c."window"::jsonb->>'floor')::bigint,
                     (SELECT min((o->>1)::bigint) FROM jsonb_array_elements(c."window"::jsonb->'old') o))
        INTO read_to FROM webhook.cursors c ORDER BY c.n DESC LIMIT 1;
        EXECUTE format('SELECT max(seq) FROM %s WHERE epoch = webhook._epoch()', events) INTO last_seq;
        IF last_seq >= coalesce(read_to, 0) THEN RETURN false; END IF;
        EXECUTE format('DROP TABLE %s', events);
    END IF;
    IF attempts IS NOT NULL THEN EXECUTE format('DROP TABLE %s', attempts); END IF;
    RETURN true;
END $$;

-- A relay that put a delivery aside in the moment in which somebody deleted its webhook did not see that, nor was it seen.
CREATE FUNCTION webhook._cancel_orphans() RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH RECURSIVE pending_webhooks(id) AS (
        (SELECT p.webhook_id FROM webhook.pending p ORDER BY p.webhook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT p.webhook_id FROM webhook.pending p WHERE p.webhook_id > l.id ORDER BY p.webhook_id LIMIT 1)
        FROM pending_webhooks l WHERE l.id IS NOT NULL
    )
    SELECT webhook._cancel(p.delivery_id)
    FROM pending_webhooks l JOIN webhook.pending p ON p.webhook_id = l.id
    WHERE NOT EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = l.id)
$$;

CREATE FUNCTION webhook._relay_maintain() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    oldest date := ((clock_timestamp() - webhook._retention()) AT TIME ZONE 'UTC')::date;
    day date;
    created integer := 0;
    dropped integer := 0;
    busy integer := 0;
BEGIN
    -- Whoever keeps something locked keeps it from being tidied, and not the partitions from being there.
    BEGIN
        DELETE FROM webhook.cursors c WHERE c.n < (SELECT max(k.n) - 100 FROM webhook.cursors k);
        PERFORM webhook._tidy_sources();
        DELETE FROM webhook.requests r WHERE r.delivery_id < webhook._id_floor('del', clock_timestamp() - webhook._retention())
            AND NOT EXISTS (SELECT FROM webhook.pending p WHERE p.delivery_id = r.delivery_id);
        DELETE FROM webhook.losses l WHERE l.at < clock_timestamp() - webhook._retention();
        DELETE FROM webhook.idempotency i WHERE i.created_at < clock_timestamp() - interval '24 hours';
        DELETE FROM webhook.secrets s WHERE s.expires_at < clock_timestamp();
        PERFORM webhook._cancel_orphans();
        -- A relay that was away for longer than this reloads everything anyway.
        DELETE FROM webhook.changes c WHERE c.at < clock_timestamp() - interval '1 hour';
    EXCEPTION WHEN lock_not_available THEN busy := busy + 1;
    END;
    -- Locks of partitions hold up writers until we commit, so nothing that may take long comes after the first: a past day is
    -- moved one at a time, and not when a day to come is missing.
    FOR day IN SELECT generate_series(today, today + 2, interval '1 day')::date
               UNION ALL
               (SELECT d FROM webhook._days_in_default() d
                WHERE to_regclass('webhook.events_' || to_char(today + 2, 'YYYYMMDD')) IS NOT NULL LIMIT 1) LOOP
        BEGIN
            created := created + webhook._create_partition('events', 'evt', 'id', day)::integer
                               + webhook._create_partition('attempts', 'del', 'delivery_id', day)::integer;
        EXCEPTION WHEN lock_not_available THEN busy := busy + 1;
        END;
    END LOOP;
    FOR day IN
        SELECT DISTINCT substring(c.relname FROM '^(?:events|attempts)_([0-9]{8})$')::date
        FROM pg_class c WHERE c.relnamespace = 'webhook'::regnamespace AND c.relname ~ '^(events|attempts)_[0-9]{8}$'
          AND substring(c.relname FROM '([0-9]{8})$')::date < oldest
        ORDER BY 1
    LOOP
        BEGIN
            dropped := dropped + webhook._drop_day(day)::integer;
        EXCEPTION WHEN lock_not_available THEN busy := busy + 1;
        END;
    END LOOP;
    RETURN format('%s partitions created, %s days dropped, %s left for later because they were locked', created, dropped, busy);
END $$;
COMMENT ON FUNCTION webhook._relay_maintain() IS
    'Creates partitions for today and two days ahead, and of one past day that lies in the default ones, drops days past webhook.retention that nobody needs, trims cursors, idempotency keys and expired secrets. Waits at most 250 ms for a lock: writers queue behind it.';
