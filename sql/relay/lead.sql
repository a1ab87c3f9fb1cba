-- One relay leads, and its takeover row fences every older leader's records. It leads by the lock that its session holds; behind
-- a pooler that lends sessions for one transaction each, by a lease in webhook.relays. Whoever takes or renews a lease holds the
-- lock meanwhile, and whoever holds the lock looks for leases, so that the two kinds exclude each other.

CREATE FUNCTION webhook._lock() RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_lock_wrapper';
COMMENT ON FUNCTION webhook._lock() IS 'The advisory lock that the leading relay holds; emitters look whether somebody does.';

CREATE FUNCTION webhook._is_leased_but_to(p_instance text) RETURNS boolean
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT EXISTS (SELECT FROM webhook.relays r WHERE r.leads_until > clock_timestamp() AND r.instance <> p_instance)
$$;

CREATE FUNCTION webhook._take_over(p_instance text)
    RETURNS TABLE (n bigint, "window" text, seq bigint, xid bigint, ahead bigint)
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    c webhook.cursors;
    -- By chance, not by counting: on a promoted standby others may have counted as far.
    term bigint := setval('webhook.term', ceil(random() * 9e15)::bigint);
BEGIN
    LOOP
        SELECT * INTO c FROM webhook.cursors k ORDER BY k.n DESC LIMIT 1;
        IF NOT FOUND THEN
            -- Everything ever emitted here is unread.
            c := (0, '', '{"low": "3:3:", "floor": 0, "old": []}', 0, 0, 0, NULL);
        END IF;
        INSERT INTO webhook.cursors (n, leader, "window", seq, xid, ahead)
        VALUES (c.n + 1, p_instance, c."window", c.seq, c.xid, c.ahead) ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN QUERY SELECT c.n + 1, (c."window"::jsonb || jsonb_build_object('term', term))::text, c.seq, c.xid, c.ahead;
END $$;

CREATE FUNCTION webhook._relay_lead(p_instance text)
    RETURNS TABLE (n bigint, "window" text, seq bigint, xid bigint, ahead bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    -- Never a lock call that waits: it would hold a snapshot for as long as the other one leads.
    IF NOT webhook._is_home() OR NOT pg_try_advisory_lock(webhook._lock()) THEN RETURN; END IF;
    IF webhook._is_leased_but_to(p_instance) THEN
        PERFORM pg_advisory_unlock(webhook._lock());
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM webhook._take_over(p_instance);
END $$;

CREATE FUNCTION webhook._relay_resign() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT pg_advisory_unlock(webhook._lock())
$$;

CREATE FUNCTION webhook._relay_renew_lease(p_instance text, p_lease_ms integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    -- The lock is let go only when the lease can be seen.
    IF NOT pg_try_advisory_xact_lock(webhook._lock()) OR webhook._is_leased_but_to(p_instance) THEN RETURN false; END IF;
    UPDATE webhook.relays r SET leads_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
    WHERE r.instance = p_instance;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION webhook._relay_renew_lease(text, integer) IS
    'True: this relay leads for so long. False says only that it could not be found out now.';

CREATE FUNCTION webhook._relay_lease_lead(p_instance text, p_lease_ms integer)
    RETURNS TABLE (n bigint, "window" text, seq bigint, xid bigint, ahead bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF webhook._is_home() AND webhook._relay_renew_lease(p_instance, p_lease_ms) THEN
        RETURN QUERY SELECT * FROM webhook._take_over(p_instance);
    END IF;
END $$;

CREATE FUNCTION webhook._relay_end_lease(p_instance text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    UPDATE webhook.relays r SET leads_until = NULL WHERE r.instance = p_instance
$$;
