-- The doorbell: how a relay sleeps without missing a commit. docs/wakeup.md has the proof.

-- Is anybody between looking at the bell and the visibility of its commit?
CREATE FUNCTION webhook._relay_committing() RETURNS boolean
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_locks l
                   WHERE l.locktype = 'relation' AND l.relation = 'webhook.committing'::regclass
                     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                     AND l.mode = 'RowExclusiveLock')
$$;

CREATE FUNCTION webhook._relay_arm() RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM setval('webhook.bell_until', (extract(epoch FROM clock_timestamp() + interval '10 seconds') * 1000)::bigint);
    PERFORM setval('webhook.bell', 1);
    RETURN webhook._relay_committing();
END $$;

CREATE FUNCTION webhook._relay_disarm() RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT setval('webhook.bell', 0)
$$;
