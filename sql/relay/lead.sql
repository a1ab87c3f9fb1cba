-- One relay leads: it holds the lock, and its takeover row fences every older leader's records.

CREATE FUNCTION webhook._lock() RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_lock_wrapper';
COMMENT ON FUNCTION webhook._lock() IS 'The advisory lock that the leading relay holds; emitters look whether somebody does.';

CREATE FUNCTION webhook._relay_lead(p_instance text)
    RETURNS TABLE (n bigint, "window" text, seq bigint, xid bigint, ahead bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    c webhook.cursors;
BEGIN
    -- Never a lock call that waits: it would hold a snapshot for as long as the other one leads.
    IF NOT webhook._is_home() OR NOT pg_try_advisory_lock(webhook._lock()) THEN RETURN; END IF;
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
    RETURN QUERY SELECT c.n + 1, c."window", c.seq, c.xid, c.ahead;
END $$;

CREATE FUNCTION webhook._relay_resign() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT pg_advisory_unlock(webhook._lock())
$$;
