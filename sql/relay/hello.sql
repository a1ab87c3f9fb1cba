-- A relay arrives, lives and leaves.

CREATE FUNCTION webhook._relay_hello(p_instance text, p_version text, p_host text, p_pid integer)
    RETURNS TABLE (extension_version text, library_version text, server_version integer, adopted boolean, identity text,
                   in_recovery boolean, settings jsonb, clock_us bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF NOT pg_is_in_recovery() THEN
        INSERT INTO webhook.relays AS r (instance, version, host, pid) VALUES (p_instance, p_version, p_host, p_pid)
        ON CONFLICT (instance) DO UPDATE SET seen_at = clock_timestamp();
        -- The first relay of a new outbox settles where home is. Others write nothing: a webhook_adopt() that is not committed has it locked.
        IF NOT EXISTS (SELECT FROM webhook.identity) THEN
            INSERT INTO webhook.identity (system_identifier, database)
            SELECT s.system_identifier, d.oid FROM pg_control_system() s, pg_database d
            WHERE d.datname = current_database() AND webhook._is_home()
            ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN QUERY
    SELECT x.extversion, webhook._library_version(), current_setting('server_version_num')::integer, webhook._is_home(),
           (SELECT s.system_identifier::text FROM pg_control_system() s) || '/' || current_database(),
           pg_is_in_recovery(),
           jsonb_build_object('max_payload_bytes', pg_size_bytes(current_setting('webhook.max_payload_bytes')),
               'retention_seconds', extract(epoch FROM webhook._retention())::bigint),
           (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FROM pg_extension x WHERE x.extname = 'pg_webhook';
END $$;

CREATE FUNCTION webhook._relay_beat(p_instance text, p_leader boolean, p_in_flight integer, p_queued integer)
    RETURNS TABLE (alive integer, adopted boolean, clock_us bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    UPDATE webhook.relays r
    SET leader = p_leader, in_flight = p_in_flight, queued = p_queued, seen_at = clock_timestamp()
    WHERE r.instance = p_instance;
    DELETE FROM webhook.relays r WHERE r.seen_at < clock_timestamp() - interval '1 hour';
    RETURN QUERY
    SELECT count(*)::integer, webhook._is_home(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FROM webhook.relays r
    WHERE r.seen_at > clock_timestamp() - interval '20 seconds';
END $$;

CREATE FUNCTION webhook._relay_bye(p_instance text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    DELETE FROM webhook.relays r WHERE r.instance = p_instance
$$;
